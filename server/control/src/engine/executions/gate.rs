//! The tokens with which an execution's gate is answered. It may ask more than once (a message is sent again, a state begins anew), and which
//! of its tokens it waits with is known to it alone: all are kept, and all are answered.
//!
//! Refuses to show one: a token is as good as an approval, and is sealed wherever it lies.

use entity::execution;
use secrecy::{ExposeSecret, SecretString};

use crate::{Control, error::Result, store::executions};

/// So many are kept, the newest.
const MOST: usize = 8;

/// All that asked were answered.
pub(super) const ANSWERED: &str = "";

/// Whether there is one to answer with.
pub(super) fn asks(execution: &execution::Model) -> bool {
    execution.gate_token.as_deref().is_some_and(|sealed| sealed != ANSWERED)
}

impl Control {
    /// Those to answer with, the oldest first.
    pub(super) fn gate_tokens(&self, execution: &execution::Model) -> Result<Vec<SecretString>> {
        let Some(sealed) = execution.gate_token.as_deref().filter(|sealed| *sealed != ANSWERED) else {
            return Ok(Vec::new());
        };
        let tokens = self.sealer.open(executions::GATE, sealed)?;
        Ok(tokens.lines().map(SecretString::from).collect())
    }

    /// Adds one to those there are.
    pub(super) fn add_gate_token(
        &self,
        execution: &mut execution::Model,
        token: &SecretString,
    ) -> Result<()> {
        let mut tokens = self.gate_tokens(execution).unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(run = execution.run_id, error, "the gate's earlier tokens cannot be read");
            Vec::new()
        });
        tokens.retain(|known| known.expose_secret() != token.expose_secret());
        tokens.push(token.clone());
        let kept = tokens.len().saturating_sub(MOST);
        let lines: Vec<&str> = tokens[kept..].iter().map(ExposeSecret::expose_secret).collect();
        execution.gate_token = Some(self.sealer.seal(executions::GATE, &lines.join("\n"))?);
        Ok(())
    }
}
