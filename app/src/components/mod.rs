//! The shapes every page is made of.
//!
//! Refuse to fetch: they show what they are given.

mod clock;
mod field;
mod frame;
mod icon;
mod marks;
mod notice;
mod seam;

pub use clock::{Clock, Took, Until, When};
pub use field::{Area, Check, Choice, Input, Pick, Select};
pub use frame::{Crumbs, Frame, STRANGERS, Top};
#[cfg(feature = "hydrate")]
pub use frame::{NOTICES, WAITING};
pub use icon::Icon;
#[cfg(feature = "ssr")]
pub use icon::Sprite;
pub use marks::{Ahead, Digest, Face, Sha, StatusMark, StatusPill, Uses, health, look};
pub use notice::{Failure, Hint, Loading, Refused};
pub use seam::{Seam, ended_badly, progress};
