//! Files of a folder, and attempts to get at others.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use heronry_channels::prelude::*;

use super::{exchange, statuses};
use crate::support::TestServer;

/// A folder `public` with secrets beside it; removed when dropped.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Self {
        let site = Self(std::env::temp_dir().join(format!("heronry-files-{name}-{}", std::process::id())));
        for (file, text) in [
            ("secret.txt", "secret"),
            ("private/secret.txt", "secret"),
            ("public/app.js", "app"),
            ("public/..dots.txt", "dots"),
            ("public/index.html", "index"),
            ("public/sub/index.html", "sub"),
            ("public-not/secret.txt", "secret"),
            ("next/app.js", "the next app"),
        ] {
            let file = site.0.join(file);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        }
        site
    }

    fn link(&self, to: impl AsRef<Path>, from: &str) {
        symlink(to, self.0.join(from)).expect("a link");
    }

    async fn serve(&self, folder: &str) -> TestServer {
        let folder = self.0.join(folder);
        TestServer::start(Endpoint::builder().files("/assets", &folder).files("/", &folder)).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn get(server: &TestServer, path: &str) -> String {
    exchange(server.addr, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outside_of_the_folder_can_be_reached() {
    let site = Site::new("confined");
    site.link(site.0.join("secret.txt"), "public/absolute.txt");
    site.link("../secret.txt", "public/relative.txt");
    site.link("relative.txt", "public/of-a-link.txt");
    site.link("../private", "public/folder");
    site.link("../public-not", "public/sibling");
    site.link("/", "public/root");
    site.link("gone.txt", "public/broken.txt");
    site.link("loop.txt", "public/loop.txt");
    site.link("app.js", "public/inside.js");
    let fifo = Command::new("mkfifo").arg(site.0.join("public/pipe")).status().expect("mkfifo is there");
    assert!(fifo.success());
    let server = site.serve("public").await;
    let table = [
        ("/app.js", "200", "app"),
        ("/assets/app.js", "200", "app"),
        ("/inside.js", "200", "app"),
        ("/..dots.txt", "200", "dots"),
        ("/", "200", "index"),
        ("/sub/", "200", "sub"),
        ("/absolute.txt", "404", ""),
        ("/relative.txt", "404", ""),
        ("/of-a-link.txt", "404", ""),
        ("/folder/secret.txt", "404", ""),
        ("/folder", "404", ""),
        ("/folder/", "404", ""),
        ("/sibling/secret.txt", "404", ""),
        ("/root/etc/passwd", "404", ""),
        ("/broken.txt", "404", ""),
        ("/pipe", "404", ""),
        ("/../secret.txt", "404", ""),
        ("/assets/../../secret.txt", "404", ""),
        ("/%2e%2e/secret.txt", "404", ""),
        ("/..%2fsecret.txt", "404", ""),
        ("/sub/%2e%2e/%2e%2e/secret.txt", "404", ""),
        ("/%2fetc/passwd", "404", ""),
        ("//etc/passwd", "404", ""),
        ("//sub", "404", ""),
        ("/assets//sub", "404", ""),
        ("/app.js%00.txt", "404", ""),
        ("/app.js/", "404", ""),
    ];
    for (path, status, body) in table {
        let answer = get(&server, path).await;
        assert_eq!(statuses(&answer), [status], "{path}: {answer}");
        assert!(answer.ends_with(body) && !answer.contains("secret"), "{path}: {answer}");
    }
    for (path, to) in [("/sub", "/sub/"), ("/assets/sub", "/assets/sub/")] {
        let answer = get(&server, path).await;
        assert!(answer.contains(&format!("\r\nlocation: {to}\r\n")), "{path}: {answer}");
    }
    let looped = get(&server, "/loop.txt").await;
    assert!(matches!(statuses(&looped)[..], ["404" | "500"]), "{looped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_itself_may_be_a_link_that_is_switched() {
    let site = Site::new("switched");
    site.link("public", "current");
    let server = site.serve("current").await;
    assert!(get(&server, "/app.js").await.ends_with("\r\n\r\napp"));
    fs::remove_file(site.0.join("current")).expect("the link is there");
    site.link("next", "current");
    assert!(get(&server, "/app.js").await.ends_with("\r\n\r\nthe next app"));
}
