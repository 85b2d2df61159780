//! Typed ids: a ULID each, so that ids sort by creation time and one kind never passes for another.
//!
//! Refuses to make ids by itself: the caller brings time and randomness, because this crate has neither.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

/// Text that is not a ULID: 26 characters of Crockford base 32.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: expected 26 letters and digits such as 01JGQ5Y3X8V4T6R2N9M7K1H0FA")]
pub struct BadId {
    /// What was given.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Ulid);

        impl $name {
            /// An id from its 128 bits: milliseconds since 1970 above, randomness below.
            pub fn from_parts(millis: u64, random: u128) -> Self { Self(Ulid::from_parts(millis, random)) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{}({})", stringify!($name), self.0) }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Ulid::from_string(text).map(Self).map_err(|_| BadId { text: text.to_owned() })
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> { serializer.collect_str(self) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl From<Ulid> for $name { fn from(id: Ulid) -> Self { Self(id) } }
        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .examples(["01JGQ5Y3X8V4T6R2N9M7K1H0FA"])
                    .description(Some("A ULID"))
                    .into()
            }
        }
        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A pipeline: a group of services that are tested and deployed together.
    PipelineId,
    /// A service: one repository (or a part of one) with its settings.
    ServiceId,
    /// One walk of a service through its plan.
    RunId,
    /// One stage of one run.
    StageId,
    /// What ran where since when.
    DeploymentId,
    /// One received hook.
    DeliveryId,
    /// A person who may log in.
    UserId,
    /// A browser session.
    SessionId,
    /// A bearer token of the REST API.
    TokenId,
}
