//! A real browser: Debian's Chromium without a window, driven by its own WebDriver over HTTP. Tests that need it are ignored unless
//! asked for (`cargo test --test it -- --ignored browser`), and the gate asks for them.

use super::waiting::PATIENCE;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How often Chromium is started before it counts as one that does not start.
const START_TRIES: usize = 3;

/// What Chromium must not do: look for a sandbox that root cannot have, or for Google's hosts.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

pub(crate) struct Browser {
    driver: Child,
    /// Kept open: the driver must not write into nothing.
    _said: Lines<BufReader<ChildStdout>>,
    session: String,
    agent: ureq::Agent,
    _profile: TempDir,
}

/// Colours as a reader has chosen them, and what the page is shown on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Light,
    Dark,
    Paper,
}

impl Browser {
    /// # Panics
    /// When there is none: a test that was asked for must not pass unrun.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = started.unwrap_or_else(|error| {
            panic!("this needs Chromium and its driver (apt-get install chromium chromium-driver): {error}")
        });
        let mut said = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port_of =
            |line: String| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok();
        let port = said.by_ref().map_while(Result::ok).find_map(port_of).expect("the driver names its port");
        let url = format!("http://127.0.0.1:{port}");
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
        let mut browser =
            Self { driver, _said: said, session: url, agent: config.build().new_agent(), _profile: profile };
        let user_data = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([user_data.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        // On a machine with much else to do, its first start may be too slow for the driver.
        let mut made = (0..START_TRIES).map(|_| browser.try_post("/session", &wanted));
        let made = made.find(|made| made["sessionId"].is_string()).expect("a session of Chromium");
        browser.session = format!("{}/session/{}", browser.session, made["sessionId"].as_str().unwrap_or_default());
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let value = self.try_post(path, body);
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }

    fn try_post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let sent = self.agent.post(&url).content_type("application/json").send(body.to_string());
        let mut answer = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["value"].clone()
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn command(&self, name: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }))
    }

    /// A phone's screen, or any other, in CSS pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true });
        self.command("Emulation.setDeviceMetricsOverride", &screen);
    }

    pub(crate) fn look(&self, look: Look) {
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let media = if look == Look::Paper { "print" } else { "screen" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", &json!({ "media": media, "features": features }));
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Presses keys one after the other, as WebDriver names those that are no characters. `held`: keys that are held meanwhile.
    pub(crate) fn press(&self, held: &[char], keys: &str) {
        let act = |kind: &str, key: char| json!({ "type": kind, "value": key.to_string() });
        let down = held.iter().map(|key| act("keyDown", *key));
        let pressed = keys.chars().flat_map(|key| [act("keyDown", key), act("keyUp", key)]);
        let up = held.iter().map(|key| act("keyUp", *key));
        let actions: Vec<Value> = down.chain(pressed).chain(up).collect();
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }));
    }

    /// What a function's body returns in the page. The page's own policy does not hold for it.
    pub(crate) fn ask(&self, function: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": function, "args": [] }))
    }

    /// Waits until a function's body returns something true in the page, and returns that.
    ///
    /// # Panics
    /// When it does not in the time that nothing takes unless it hangs.
    pub(crate) fn wait_for(&self, function: &str) -> Value {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let found = self.ask(function);
            if !matches!(found, Value::Null | Value::Bool(false)) && found != "" {
                return found;
            }
            assert!(std::time::Instant::now() < until, "it never came to this: {function}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the browser had to complain about since it was last asked: blocked styles and scripts, among others.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let logged = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = logged.as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["message"].as_str()).map(str::to_owned).collect()
    }

    /// Puts a picture of the page, whole, into the directory that `QUOTEGRID_PICTURES` names, for people to look at.
    pub(crate) fn picture(&self, name: &str) {
        use base64::Engine;
        let Ok(directory) = std::env::var("QUOTEGRID_PICTURES") else { return };
        let shot = self.command("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }));
        let png = base64::prelude::BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("Base64");
        std::fs::write(std::path::Path::new(&directory).join(format!("{name}.png")), png).expect("written");
    }

    /// The page as it would be printed, a PDF.
    pub(crate) fn print(&self) -> Vec<u8> {
        use base64::Engine;
        let printed = self.command("Page.printToPDF", &json!({ "preferCSSPageSize": true }));
        base64::prelude::BASE64_STANDARD.decode(printed["data"].as_str().expect("a document")).expect("Base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium, which the driver would otherwise leave behind.
        let _gone = self.agent.delete(&self.session).call();
        let _ended = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}
