//! Looks for many needles at once, one byte at a time (Aho and Corasick), and says how much of one is under way.
//!
//! Sparse on purpose: a private key in twenty spellings is tens of thousands of states, which as a dense table would take
//! more memory than the rest of the runner.

use std::collections::VecDeque;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Node {
    byte: u8,
    child: u32,
    sibling: u32,
    fail: u32,
    depth: u32,
    /// Length of the longest needle that ends here; 0 when none does.
    ends: u32,
}

/// The needles, compiled.
#[derive(Debug)]
pub(super) struct Automaton {
    nodes: Vec<Node>,
    /// The root's children by byte: most bytes begin nothing, and they are decided here.
    root: [u32; 256],
}

impl Automaton {
    /// Compiles needles; empty ones are left out.
    pub(super) fn new<'a>(needles: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut all = Self { nodes: vec![node(0, 0)], root: [NONE; 256] };
        for needle in needles.into_iter().filter(|n| !n.is_empty()) {
            let mut at = 0;
            for &byte in needle {
                at = all.child(at, byte).unwrap_or_else(|| all.add(at, byte));
            }
            let end = &mut all.nodes[at as usize];
            end.ends = end.depth;
        }
        all.link();
        all
    }

    fn add(&mut self, parent: u32, byte: u8) -> u32 {
        let new = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        let depth = self.nodes[parent as usize].depth + 1;
        let mut added = node(byte, depth);
        if parent == 0 {
            self.root[byte as usize] = new;
        }
        added.sibling = std::mem::replace(&mut self.nodes[parent as usize].child, new);
        self.nodes.push(added);
        new
    }

    /// Sets, breadth first, where each state falls back to: the longest other needle's beginning that it ends with.
    fn link(&mut self) {
        let mut open = VecDeque::from([0]);
        while let Some(parent) = open.pop_front() {
            let mut child = self.nodes[parent as usize].child;
            while child != NONE {
                let byte = self.nodes[child as usize].byte;
                let fail = if parent == 0 { 0 } else { self.next(self.nodes[parent as usize].fail, byte) };
                self.nodes[child as usize].fail = fail;
                let inherited = self.nodes[fail as usize].ends;
                let own = &mut self.nodes[child as usize].ends;
                *own = (*own).max(inherited);
                open.push_back(child);
                child = self.nodes[child as usize].sibling;
            }
        }
    }

    fn child(&self, state: u32, byte: u8) -> Option<u32> {
        if state == 0 {
            let child = self.root[byte as usize];
            return (child != NONE).then_some(child);
        }
        let mut child = self.nodes[state as usize].child;
        while child != NONE {
            let node = &self.nodes[child as usize];
            if node.byte == byte {
                return Some(child);
            }
            child = node.sibling;
        }
        None
    }

    /// The state after one more byte.
    pub(super) fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            match self.child(state, byte) {
                Some(next) => return next,
                None if state == 0 => return 0,
                None => state = self.nodes[state as usize].fail,
            }
        }
    }

    /// Whether a needle begins with this byte.
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.root[byte as usize] != NONE
    }

    /// How many of the last bytes may still become a needle.
    pub(super) fn depth(&self, state: u32) -> u32 {
        self.nodes[state as usize].depth
    }

    /// Length of the longest needle that ends here.
    pub(super) fn ends(&self, state: u32) -> Option<u32> {
        Some(self.nodes[state as usize].ends).filter(|length| *length > 0)
    }
}

fn node(byte: u8, depth: u32) -> Node {
    Node { byte, child: NONE, sibling: NONE, fail: 0, depth, ends: 0 }
}
