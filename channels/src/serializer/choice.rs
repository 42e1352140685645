//! Which serializer serves a client: the first whose requirement the client's version matches.
//!
//! Pure: a version in, a serializer out.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Serializer;
use super::v1::V1;
use super::v2::V2;
use crate::vsn::{Vsn, VsnError, VsnReq};

/// The serializers of Phoenix. All mounts share them, so that a broadcast is encoded once for all of them.
static V1_SHARED: LazyLock<Arc<dyn Serializer>> = LazyLock::new(|| Arc::new(V1));
static V2_SHARED: LazyLock<Arc<dyn Serializer>> = LazyLock::new(|| Arc::new(V2));

/// The serializers of a socket's mount, each with the versions that it serves. Phoenix's `:serializer` option.
///
/// A client names its version in the param `vsn`; without one it is 1.0.0. The first serializer whose requirement
/// matches serves it; if none does, the client is refused with 403. The default is Phoenix's: V1 (JSON objects) for
/// `~> 1.0.0` and V2 (JSON arrays, and a binary form) for `~> 2.0.0`.
///
/// ```
/// use heronry_channels::Serializers;
///
/// let v2_alone = Serializers::none().v2();
/// # drop(v2_alone);
/// ```
#[derive(Clone)]
pub struct Serializers(Vec<(VsnReq, Arc<dyn Serializer>)>);

impl Serializers {
    /// No serializer: no client is served until one is added.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds Phoenix's V1, for `~> 1.0.0`.
    #[must_use]
    pub fn v1(self) -> Self {
        self.push(VsnReq::patches_of(1, 0), V1_SHARED.clone())
    }

    /// Adds Phoenix's V2, for `~> 2.0.0`.
    #[must_use]
    pub fn v2(self) -> Self {
        self.push(VsnReq::patches_of(2, 0), V2_SHARED.clone())
    }

    /// Adds a serializer of your own, for the versions that match a requirement in Elixir's form: `~> 3.0.0` is 3.0.0
    /// and later patches, `~> 3.1` is 3.1.0 up to before 4.0.0.
    ///
    /// # Errors
    /// [`VsnError`] if the requirement is none.
    pub fn serializer(self, requirement: &str, serializer: impl Serializer) -> Result<Self, VsnError> {
        Ok(self.push(VsnReq::parse(requirement)?, Arc::new(serializer)))
    }

    fn push(mut self, requirement: VsnReq, serializer: Arc<dyn Serializer>) -> Self {
        self.0.push((requirement, serializer));
        self
    }

    /// The serializer for a client that asks for this version.
    pub(crate) fn choose(&self, vsn: &Vsn) -> Option<&Arc<dyn Serializer>> {
        self.0.iter().find(|(requirement, _)| requirement.matches(vsn)).map(|(_, serializer)| serializer)
    }

    /// The same, for clients that can be sent text alone.
    #[cfg(feature = "longpoll")]
    pub(crate) fn text_only(&self) -> Self {
        let wrap = |(requirement, serializer): &(VsnReq, Arc<dyn Serializer>)| {
            let serializer: Arc<dyn Serializer> = Arc::new(super::text_only::TextOnly(serializer.clone()));
            (requirement.clone(), serializer)
        };
        Self(self.0.iter().map(wrap).collect())
    }
}

impl Default for Serializers {
    fn default() -> Self {
        Self::none().v1().v2()
    }
}

impl fmt::Debug for Serializers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(requirement, _)| requirement)).finish()
    }
}
