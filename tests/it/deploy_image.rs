//! The Containerfile names what is there, and the same versions as everything else: no image can be built where the tests run.

use std::{fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The value of the first line that begins with a key.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("no line begins with {key}")).trim_matches('"')
}

#[test]
fn everything_that_is_copied_into_the_image_is_there() {
    let file = read("Containerfile");
    let ignored = read(".containerignore");
    let stages: Vec<&str> = file.lines().filter(|l| l.starts_with("FROM ")).filter_map(|l| l.split(" AS ").nth(1)).collect();
    let made: Vec<&str> = file.split_whitespace().filter(|word| word.starts_with("/out/") || *word == "/snapgap").collect();
    let mut copies = 0;
    for line in file.lines().filter(|l| l.starts_with("COPY ")) {
        let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.pop();
        copies += words.len();
        if let Some(stage) = words[0].strip_prefix("--from=") {
            assert!(stages.contains(&stage), "{line}: no such stage");
            // Once where it is made, once where it is copied.
            words[1..].iter().for_each(|path| assert!(made.iter().filter(|m| *m == path).count() >= 2, "{path} is never made"));
            continue;
        }
        for path in words {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path} is not there");
            assert!(!ignored.lines().any(|i| path == i || path.starts_with(&format!("{i}/"))), "{path} is left out by .containerignore");
        }
    }
    assert!(copies >= 5, "only {copies} were found: the test is not looking");
}

#[test]
fn the_image_is_built_from_the_versions_that_the_tests_run() {
    let (file, get) = (read("Containerfile"), read("tests/tools/get"));
    for tool in ["kustomize", "helm"] {
        let row: Vec<&str> = get.lines().find(|l| l.starts_with(&format!("{tool}|"))).expect("a row").split('|').collect();
        let [_, family, package, flags, tags] = row[..] else { panic!("{row:?}") };
        let flags = format!("-s -w {flags}");
        let build = format!("RUN cd /src/{family} && go build -trimpath -ldflags \"{}\" -o /out/{tool} {package}", flags.trim_end());
        assert!(tags.is_empty() && file.contains(&build), "the Containerfile lacks: {build}");
        assert!(file.contains(&format!("COPY tests/tools/{family} /src/{family}\n")));
        let module = read(&format!("tests/tools/{family}/go.mod"));
        assert_eq!(value(&file, "ARG GO="), format!("{}-bookworm", value(&module, "go ")), "{tool}");
        if let Some((_, version)) = flags.split_once("version.version=") {
            assert!(module.contains(&format!("{} {version}", package.trim_end_matches("/cmd/helm"))), "{tool} would say that it is {version}");
        }
    }
    let channel = value(&read("rust-toolchain.toml"), "channel = ").to_owned();
    assert_eq!(value(&file, "ARG RUST="), format!("{channel}-bookworm"));
    assert!(read("Cargo.toml").contains(&format!("rust-version = \"{}\"", channel.trim_end_matches(".0"))));
    // What is linked against one C library runs on the same one.
    assert_eq!(value(&file, "ARG DEBIAN="), "bookworm-slim");
    assert!(
        read("Cargo.toml").contains("\n[profile.dist]\n") && file.contains("cargo build --locked --profile dist && cp target/dist/snapgap /snapgap")
    );
}

#[test]
fn the_image_knows_its_revision_and_fits_the_chart() {
    let file = read("Containerfile");
    let build = file.split("FROM ").find(|stage| stage.contains("cargo build")).expect("a stage that builds");
    let at = |what: &str| build.find(what).unwrap_or_else(|| panic!("the stage that builds lacks {what}"));
    assert!(at("ARG REVISION") < at("ENV SNAPGAP_REVISION=$REVISION") && at("ENV SNAPGAP_REVISION") < at("RUN cargo build"));
    let last = file.split("FROM ").last().expect("a stage");
    assert!(last.contains("ARG REVISION") && last.contains("org.opencontainers.image.revision=\"$REVISION\""));
    let chart: serde_json::Value = serde_yaml::from_str(&read("deploy/helm/snapgap/values.yaml")).expect("YAML");
    assert_eq!(value(last, "EXPOSE "), chart["service"]["port"].to_string());
    let user = value(last, "USER ").split(':').next().unwrap_or_default().to_owned();
    assert!(read("deploy/helm/snapgap/templates/deployment.yaml").contains(&format!("runAsUser: {user}\n")));
    assert!(last.contains("ENTRYPOINT [\"/usr/local/bin/snapgap\"]") && last.contains("CMD [\"serve\"]"));
}
