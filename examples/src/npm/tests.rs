//! What `ensure` does with a present, an absent, a failing and a hanging npm. No network.
//!
//! The fake npm is `sh`: started with npm's arguments it runs the file `install` of the folder. Nothing freshly written
//! is ever executed itself, which under parallel tests fails now and then with "text file busy".

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const PATIENT: Duration = Duration::from_secs(60);

struct Folder(PathBuf);

impl Folder {
    fn new(manifest: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("heronry-npm-{}-{id}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), manifest).unwrap();
        Folder(dir)
    }

    fn wanting_phoenix() -> Self {
        Self::new(r#"{"private": true, "dependencies": {"phoenix": "1.8.16"}}"#)
    }

    fn with_installed(self, package: &str, manifest: &str) -> Self {
        let dir = self.0.join("node_modules").join(package);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("package.json"), manifest).unwrap();
        self
    }

    fn with_npm(self, script: &str) -> Self {
        fs::write(self.0.join("install"), script).unwrap();
        self
    }

    fn ensure(&self) -> Result<(), NpmError> {
        ensure_with(OsStr::new("/bin/sh"), &self.0, PATIENT)
    }

    fn ensure_without_npm(&self) -> Result<(), NpmError> {
        ensure_with(OsStr::new("/nonexistent/npm"), &self.0, PATIENT)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn npm_is_not_asked_for_what_is_there() {
    let folder = Folder::wanting_phoenix().with_installed("phoenix", r#"{"version": "1.8.16"}"#);
    folder.ensure_without_npm().unwrap();
}

#[test]
fn scoped_packages_are_found_in_their_scope() {
    let folder = Folder::new(r#"{"dependencies": {"@a/b": "2.0.0"}}"#)
        .with_installed("@a/b", r#"{"version": "2.0.0"}"#);
    folder.ensure_without_npm().unwrap();
}

#[test]
fn no_dependencies_need_no_npm() {
    Folder::new(r#"{"private": true}"#).ensure_without_npm().unwrap();
}

#[test]
fn a_missing_npm_is_named_with_what_to_do() {
    let folder = Folder::wanting_phoenix();
    let error = folder.ensure_without_npm().unwrap_err();
    assert!(matches!(error, NpmError::NotFound { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "npm was not found on PATH; install Node.js 18 or newer (Debian: apt-get install nodejs npm) and start \
             again, or run \"npm install\" in {} yourself",
            folder.0.display()
        )
    );
}

#[test]
fn another_version_and_a_broken_one_are_not_there() {
    for manifest in [r#"{"version": "1.8.15"}"#, r#"{"version": 1}"#, "{}", "", "[]"] {
        let folder = Folder::wanting_phoenix().with_installed("phoenix", manifest);
        let error = folder.ensure_without_npm().unwrap_err();
        assert!(matches!(error, NpmError::NotFound { .. }), "{manifest}: {error:?}");
    }
}

#[test]
fn an_unusable_package_json_is_named() {
    let check = |manifest: &str, expect: &str| {
        let folder = Folder::new(manifest);
        let error = folder.ensure_without_npm().unwrap_err();
        assert!(matches!(error, NpmError::Manifest { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&folder.0.join("package.json").display().to_string()), "{text}");
        assert!(text.contains(expect), "{text}");
        assert!(error.source().is_some());
    };
    check("{", "EOF");
    check("[]", "expected a map");
    check(r#"{"dependencies": []}"#, "not an object");
    check(r#"{"dependencies": {"phoenix": 1}}"#, "the version of phoenix is not a string");

    let folder = Folder::wanting_phoenix();
    fs::remove_file(folder.0.join("package.json")).unwrap();
    assert!(matches!(folder.ensure_without_npm(), Err(NpmError::Manifest { .. })));
}

#[cfg(unix)]
#[test]
fn what_is_missing_is_installed_with_these_arguments_and_an_empty_stdin() {
    let folder = Folder::wanting_phoenix().with_npm(
        r#"
        [ "$*" = "--no-audit --no-fund --no-package-lock --loglevel=error" ] || { echo "arguments: $*"; exit 1; }
        [ -z "$(cat)" ] || { echo "stdin is not empty"; exit 1; }
        mkdir -p node_modules/phoenix && echo '{"version": "1.8.16"}' > node_modules/phoenix/package.json
        "#,
    );
    folder.ensure().unwrap();
    folder.ensure_without_npm().unwrap();
}

#[cfg(unix)]
#[test]
fn a_failure_shows_the_last_lines_of_both_outputs() {
    let folder = Folder::wanting_phoenix()
        .with_npm("i=0; while [ $i -lt 3000 ]; do echo \"line $i\"; i=$((i+1)); done; echo 'npm error E404' >&2; exit 7");
    let error = folder.ensure().unwrap_err();
    let NpmError::Failed { status, output, .. } = &error else { panic!("{error:?}") };
    assert_eq!(status.code(), Some(7));
    assert_eq!(output.lines().count(), OUTPUT_LINES_MAX);
    assert!(output.ends_with("line 2999\nnpm error E404"), "{output}");
    assert!(error.to_string().ends_with(output.as_str()), "{error}");
}

#[cfg(unix)]
#[test]
fn a_silent_failure_says_so() {
    let error = Folder::wanting_phoenix().with_npm("exit 1").ensure().unwrap_err();
    assert!(error.to_string().contains("wrote nothing"), "{error}");
}

#[cfg(unix)]
#[test]
fn an_install_that_brings_something_else_is_no_success() {
    let folder = Folder::wanting_phoenix().with_npm("exit 0");
    let error = folder.ensure().unwrap_err();
    assert!(matches!(&error, NpmError::Incomplete { package, .. } if package == "phoenix"), "{error:?}");
    assert!(error.to_string().contains("phoenix 1.8.16 is not there"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_hanging_npm_is_stopped() {
    // `exec`: the process that hangs is the one that is killed, as with npm itself.
    let folder = Folder::wanting_phoenix().with_npm("echo $$ > pid; exec sleep 3600");
    let error = ensure_with(OsStr::new("/bin/sh"), &folder.0, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, NpmError::TimedOut { .. }), "{error:?}");
    // Absent only if the machine was too busy to get as far within the limit: then there is nothing left to look for.
    if let Ok(pid) = fs::read_to_string(folder.0.join("pid")) {
        let probe = format!("kill -0 {}", pid.trim());
        let found = Command::new("/bin/sh").args(["-c", &probe]).stderr(Stdio::null()).status().unwrap();
        assert!(!found.success(), "process {} still runs", pid.trim());
    }
}

#[test]
fn a_long_line_without_an_end_stays_bounded() {
    let kept = tail(io::repeat(b'x').take(1_000_000));
    assert_eq!(kept.len(), OUTPUT_BYTES_MAX);
}
