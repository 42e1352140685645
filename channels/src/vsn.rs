//! The version that a client asks for, and the versions that a serializer serves.
//!
//! Pure: a text in, a choice out.

use std::fmt;

use semver::{BuildMetadata, Prerelease, Version};

/// A version of the protocol, as a client asks for it. Elixir's `Version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vsn(Version);

impl Vsn {
    /// What a client without a `vsn` param speaks.
    pub(crate) const DEFAULT: Self = Self(Version::new(1, 0, 0));

    /// Reads MAJOR.MINOR.PATCH, with an optional pre-release and build.
    pub(crate) fn parse(text: &str) -> Result<Self, VsnError> {
        Version::parse(text).map(Self).map_err(|error| VsnError { text: text.to_owned(), error })
    }
}

/// A range of versions: from the first, and before the second. Elixir's `Version.Requirement`, in its `~>` form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct VsnReq {
    from: Version,
    before: Version,
}

/// A text that is no version, or no requirement on one.
#[derive(Debug)]
pub struct VsnError {
    text: String,
    error: semver::Error,
}

impl VsnReq {
    /// `~> major.minor.0`.
    pub(crate) const fn patches_of(major: u64, minor: u64) -> Self {
        Self { from: Version::new(major, minor, 0), before: Version::new(major, minor + 1, 0) }
    }

    /// Reads `~> 1.2.3` (from it, before 1.3.0) or `~> 1.2` (from 1.2.0, before 2.0.0).
    pub(crate) fn parse(text: &str) -> Result<Self, VsnError> {
        let part = text.strip_prefix("~>").unwrap_or_default().trim();
        let version =
            |part: &str| Version::parse(part).map_err(|error| VsnError { text: text.to_owned(), error });
        if part.bytes().filter(|byte| *byte == b'.').count() == 1 {
            let from = version(&format!("{part}.0"))?;
            let before = Version::new(from.major.saturating_add(1), 0, 0);
            return Ok(Self { from, before });
        }
        let from = version(part)?;
        let before = Version::new(from.major, from.minor.saturating_add(1), 0);
        Ok(Self { from, before })
    }

    /// Whether the version is in the range. A pre-release comes before its release, and those of the range's end are
    /// not in it.
    pub(crate) fn matches(&self, Vsn(vsn): &Vsn) -> bool {
        let release = Version { pre: Prerelease::EMPTY, build: BuildMetadata::EMPTY, ..vsn.clone() };
        vsn.cmp_precedence(&self.from).is_ge() && release < self.before
    }
}

impl fmt::Debug for VsnReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ">= {} and < {}", self.from, self.before)
    }
}

impl fmt::Display for VsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no version, or no requirement such as ~> 2.0.0: {}", self.text, self.error)
    }
}

impl std::error::Error for VsnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::fuzz;

    #[test]
    fn what_is_no_version() {
        for text in
            ["", "2", "2.0", "2.0.0.0", "2.0.x", "2.0.00", "+2.0.0", " 2.0.0", "2.0.0-", "nonsense", "-1.0.0"]
        {
            assert!(Vsn::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ranges() {
        let table = [
            ("~> 2.0.0", "2.0.0", true),
            ("~> 2.0.0", "2.0.7", true),
            ("~> 2.0.0", "2.0.0+build", true),
            ("~> 2.0.0", "2.0.0-dev", false),
            ("~> 2.0.0", "2.0.1-dev", true),
            ("~> 2.0.0", "2.1.0-dev", false),
            ("~> 2.0.0", "2.1.0", false),
            ("~> 2.0.0", "1.0.0", false),
            ("~> 2.0.0", "3.0.0", false),
            ("~>2.0.3", "2.0.2", false),
            ("~> 2.1", "2.9.0", true),
            ("~> 2.1", "2.0.9", false),
            ("~> 2.1", "3.0.0", false),
        ];
        for (requirement, vsn, want) in table {
            let (range, vsn) = (VsnReq::parse(requirement).unwrap(), Vsn::parse(vsn).unwrap());
            assert_eq!(range.matches(&vsn), want, "{requirement} {vsn:?}");
        }
        assert_eq!(VsnReq::parse("~> 2.0.0").unwrap(), VsnReq::patches_of(2, 0));
        for text in ["", "~>", "~> 2", "~> x.y.z", ">= 2.0.0", "2.0.0"] {
            assert!(VsnReq::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn who_gives_no_version_speaks_v1() {
        assert!(VsnReq::patches_of(1, 0).matches(&Vsn::DEFAULT));
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_versions_are_read_or_refused(text in prop_oneof![
            ".{0,40}",
            "[0-9]{1,21}(\\.[0-9]{1,21}){0,3}(-[a-z0-9.-]{0,8})?(\\+[a-z0-9.]{0,8})?",
        ]) {
            drop(VsnReq::parse(&text));
            let requirement = VsnReq::parse(&format!("~> {text}"));
            let Ok(vsn) = Vsn::parse(&text) else { return Ok(()) };
            // What is a version is the first of its own range.
            prop_assert!(requirement.expect("a version is a requirement").matches(&vsn) || vsn.0.minor == u64::MAX);
        }

        #[test]
        fn fuzz_a_range_is_that_of_its_numbers(
            from in prop::array::uniform3(0..4_u64),
            vsn in prop::array::uniform3(0..4_u64),
        ) {
            let [major, minor, patch] = from;
            let patches = VsnReq::parse(&format!("~> {major}.{minor}.{patch}")).unwrap();
            let minors = VsnReq::parse(&format!("~> {major}.{minor}")).unwrap();
            let asked = Vsn::parse(&vsn.map(|number| number.to_string()).join(".")).unwrap();
            prop_assert_eq!(patches.matches(&asked), vsn[..2] == from[..2] && vsn[2] >= patch);
            prop_assert_eq!(minors.matches(&asked), vsn[0] == major && vsn[1] >= minor);
        }
    }
}
