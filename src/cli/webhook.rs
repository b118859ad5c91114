//! `quotegrid webhook`: `setup` shows what to enter at Shopify, `send` plays Shopify. Signs a sample or a file, posts it with
//! Shopify's headers, and shows the answer.

use super::Failure;
use super::output::Output;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, checked_public_url, read_bounded, read_to_limit};
use crate::domain::ids::{ShopDomain, uuid_v7};
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Error, Kind, Result};
use crate::http::webhooks::BODY_MAX;
use crate::secret::Secret;
use crate::shopify::Topic;
use crate::shopify::sample::{sample_body, sign};
use crate::shopify::setup::{self, API_VERSION};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Shopify gives up on a delivery after five seconds, its connection included.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer to a webhook is a line; a longer one comes from something else than quotegrid.
const ANSWER_MAX: u64 = 1 << 20;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Sign a webhook and post it, as Shopify would; fails when the answer is not 2xx
    Send(Box<SendArgs>),
    /// Show what to enter at Shopify so that webhooks come: the block of shopify.app.toml, and the steps
    Setup {
        /// How Shopify reaches this server, such as https://quotes.example.com
        #[arg(long, env = "QUOTEGRID_PUBLIC_URL", value_name = "URL")]
        public_url: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct SendArgs {
    /// customers/data_request, customers/redact, shop/redact, app/uninstalled, draft_orders/update or draft_orders/delete; any other needs
    /// --file
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The shop it is about
    #[arg(long, value_name = "NAME.myshopify.com")]
    shop: ShopDomain,
    /// Where to post it; plain http only
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080/webhooks")]
    url: String,
    /// The client secret to sign with; of several with commas the first
    #[arg(long, env = "QUOTEGRID_SHOPIFY_API_SECRET", value_name = "SECRET", hide_env_values = true)]
    secret: Option<Secret>,
    /// A file that holds the client secret; of several lines the first counts
    #[arg(long, env = "QUOTEGRID_SHOPIFY_API_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Post the bytes of this file instead of a sample; - is stdin
    #[arg(long, value_name = "BODY")]
    file: Option<PathBuf>,
    /// The delivery's id; a new one where it is not given. The same twice is a repeated delivery
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// When it happened, RFC 3339; now where it is not given
    #[arg(long, value_name = "TIME")]
    triggered_at: Option<String>,
    /// Which names the headers have: x-shopify for webhooks, shopify for events
    #[arg(long, value_name = "FAMILY", value_enum, default_value_t = HeaderFamily::XShopify)]
    header_family: HeaderFamily,
}

/// Which names the headers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum HeaderFamily {
    /// `X-Shopify-Topic` and so on
    XShopify,
    /// `Shopify-Topic` and so on
    Shopify,
}

impl HeaderFamily {
    fn prefix(self) -> &'static str {
        match self {
            Self::XShopify => "X-Shopify-",
            Self::Shopify => "Shopify-",
        }
    }
}

pub(super) fn run(command: Command, output: Output) -> std::result::Result<(), Failure> {
    let args = match command {
        Command::Send(args) => args,
        Command::Setup { public_url } => return show_setup(&public_url, output),
    };
    let sent = send(&args, SystemClock.now(), &OsEntropy)?;
    output.print(&sent.document(), || sent.text())?;
    if (200..300).contains(&sent.answer.status) { Ok(()) } else { Err(Failure::Reported) }
}

/// Shows what to enter at Shopify.
fn show_setup(public_url: &str, output: Output) -> std::result::Result<(), Failure> {
    let address = checked_public_url(public_url)?.ok_or(ConfigError::PublicUrl)?;
    if !address.starts_with("https://") {
        return Err(invalid("Shopify posts to https addresses only".to_owned()).into());
    }
    let url = format!("{address}/webhooks");
    let (block, steps) = (setup::toml_block(&url), setup::steps(&url));
    let (proxy, liquid) = (setup::app_proxy_block(&address), setup::liquid_block(&address));
    let document = json!({
        "url": url, "shopifyAppToml": block, "appProxyToml": proxy, "liquid": liquid, "steps": steps,
    });
    output.print(&document, || {
        let steps: Vec<String> =
            steps.iter().enumerate().map(|(number, step)| format!("{}. {step}", number + 1)).collect();
        format!(
            "# 1. Webhooks, for shopify.app.toml\n\n{block}\n# 2. The app proxy, for shopify.app.toml\n\n{proxy}\n# 3. For the theme (Custom Liquid)\n\n{liquid}\n# Steps\n\n{}",
            steps.join("\n")
        )
    })?;
    Ok(())
}

/// A webhook that was sent, and what came back.
struct SentWebhook {
    webhook_id: String,
    answer: HttpResponse,
}

impl SentWebhook {
    fn document(&self) -> Value {
        let HttpResponse { status, body, .. } = &self.answer;
        let body = serde_json::from_str(body).unwrap_or_else(|_no_json| Value::from(body.as_str()));
        json!({ "status": status, "webhookId": self.webhook_id, "body": body })
    }

    fn text(&self) -> String {
        let HttpResponse { status, reason, body } = &self.answer;
        format!("{status} {reason}\n{body}").trim_end().to_owned()
    }
}

fn send(args: &SendArgs, now: DateTime<Utc>, entropy: &dyn Entropy) -> Result<SentWebhook> {
    let target = Target::parse(&args.url)?;
    let secret = secret(args)?;
    let body = body(args)?;
    let webhook_id = args.webhook_id.clone().unwrap_or_else(|| uuid_v7(now, entropy.array()).to_string());
    let event_id = uuid_v7(now, entropy.array()).to_string();
    let triggered_at = args.triggered_at.clone().unwrap_or_else(|| now.to_rfc3339_opts(SecondsFormat::Nanos, true));
    let signature = sign(secret.expose(), &body);
    let mut head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Shopify-Captain-Hook\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        target.path,
        target.host,
        body.len()
    );
    for (name, value) in [
        ("Topic", args.topic.as_str()),
        ("Hmac-Sha256", &signature),
        ("Shop-Domain", args.shop.as_str()),
        ("API-Version", API_VERSION),
        ("Webhook-Id", &webhook_id),
        ("Event-Id", &event_id),
        ("Triggered-At", &triggered_at),
    ] {
        if value.chars().any(char::is_control) {
            return Err(invalid(format!("{name} holds a control character, which no header can")));
        }
        head.push_str(&format!("{}{name}: {value}\r\n", args.header_family.prefix()));
    }
    head.push_str("\r\n");
    let answer = target.post(head.as_bytes(), &body)?;
    Ok(SentWebhook { webhook_id, answer })
}

fn secret(args: &SendArgs) -> Result<Secret> {
    let text = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => secret.expose().to_owned(),
        (None, Some(file)) => crate::config::read_file(file).map_err(|error| invalid(error.to_string()))?,
        (None, None) => String::new(),
    };
    let first = text.split([',', '\n']).map(str::trim).find(|secret| !secret.is_empty());
    first.map(Secret::new).ok_or_else(|| {
        invalid("no secret to sign with: give --secret or set QUOTEGRID_SHOPIFY_API_SECRET to the server's".to_owned())
    })
}

fn body(args: &SendArgs) -> Result<Vec<u8>> {
    let Some(file) = &args.file else {
        let sample = Topic::find_known(&args.topic).and_then(|topic| sample_body(&topic, &args.shop));
        let known = Topic::all();
        let known = known.map(|topic| topic.to_string()).collect::<Vec<_>>().join(", ");
        return sample
            .map(String::into_bytes)
            .ok_or_else(|| invalid(format!("there is no sample of this topic: give --file, or one of {known}")));
    };
    if file.as_os_str() == "-" {
        let read = read_to_limit(std::io::stdin().lock(), BODY_MAX);
        let body = read.map_err(|error| invalid("standard input cannot be read".to_owned()).with_source(error))?;
        return body.ok_or_else(|| too_large("standard input has"));
    }
    read_bounded(file, BODY_MAX).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => too_large(&format!("{} has", file.display())),
        _ => invalid(error.to_string()),
    })
}

/// No server takes it: see [`BODY_MAX`].
fn too_large(what_has: &str) -> Error {
    invalid(format!("{what_has} more than {BODY_MAX} bytes, the most of a webhook: name the file of one body"))
}

/// Where to post.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    address: String,
    path: String,
}

struct HttpResponse {
    status: u16,
    reason: String,
    body: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self> {
        if url.starts_with("https://") {
            return Err(invalid(
                "https is not spoken here: post to the server itself, such as http://127.0.0.1:8080/webhooks, not to the proxy before it"
                    .to_owned(),
            ));
        }
        let wrong = || invalid("the URL must look like http://127.0.0.1:8080/webhooks".to_owned());
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        if host.is_empty() || host.contains('@') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        // The brackets of an IPv6 address hold colons too.
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { host: host.to_owned(), address, path })
    }

    fn post(&self, head: &[u8], body: &[u8]) -> Result<HttpResponse> {
        let unreachable =
            |error| Error::new(Kind::Overloaded, format!("{} does not answer", self.address)).with_source(error);
        let until = Instant::now() + PATIENCE;
        let mut stream = self.connect(until).map_err(unreachable)?;
        stream.write_all(head).map_err(unreachable)?;
        // A server that refuses early may hang up before it has read all; its answer is what counts.
        let sent = stream.write_all(body);
        let mut answer = Vec::new();
        let received = read_until(&mut stream, until, &mut answer);
        if answer.is_empty() {
            sent.and(received).map_err(unreachable)?;
        }
        HttpResponse::parse(&answer)
            .ok_or_else(|| Error::new(Kind::Overloaded, format!("{} did not answer with whole HTTP", self.address)))
    }

    fn connect(&self, until: Instant) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the host name leads nowhere");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(until)) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(left(until)))?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The time left until then, and never zero: that would mean "for ever" to a socket.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn read_until(stream: &mut TcpStream, until: Instant, answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    while Instant::now() < until && (answer.len() as u64) < ANSWER_MAX {
        stream.set_read_timeout(Some(left(until)))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            // A read with a time-out is ended by a mere pause of the process, as by Ctrl-Z.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if HttpResponse::parse(answer).is_some_and(|answer| answer.status >= 200) && is_whole(answer) {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether an answer with a Content-Length has come in whole; without one its end is that of the connection.
fn is_whole(answer: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(start)) = head.parse(answer) else { return false };
    let length = field(&head, "content-length").and_then(|length| length.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - start >= length)
}

fn field<'a>(head: &httparse::Response<'_, 'a>, name: &str) -> Option<&'a str> {
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok()
}

impl HttpResponse {
    fn parse(answer: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(start)) = head.parse(answer) else { return None };
        let status = head.code?;
        let body = &answer[start..];
        if status < 200 {
            return Self::parse(body);
        }
        let chunked = field(&head, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let body = if chunked { dechunked(body) } else { body.to_vec() };
        let reason = head.reason.unwrap_or_default().to_owned();
        Some(Self { status, reason, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// The chunks of a body put together, as far as they have come.
fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Ok(httparse::Status::Complete((start, length))) = httparse::parse_chunk_size(body) {
        let rest = &body[start..];
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        if length == 0 {
            break;
        }
        whole.extend_from_slice(&rest[..length]);
        body = rest[length..].strip_prefix(b"\r\n").unwrap_or_default();
    }
    whole
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use clap::Parser;
    use std::net::TcpListener;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        send: SendArgs,
    }

    fn args(more: &[&str]) -> SendArgs {
        let fixed = ["send", "--shop", "fixture.myshopify.com", "--secret", "hush-hush, older"];
        Cli::try_parse_from(fixed.iter().chain(more)).expect("valid arguments").send
    }

    /// Sends to a server that takes one request and answers `answer`. Returns the request, and what came of it.
    fn exchange(more: &[&str], answer: &str) -> (String, SentWebhook) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/webhooks?x=1", listener.local_addr().expect("its address"));
        let answer = answer.to_owned();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"}\n") && !request.ends_with(b"EOF") {
                let length = stream.read(&mut buffer).expect("a request");
                request.extend_from_slice(&buffer[..length]);
            }
            stream.write_all(answer.as_bytes()).expect("answered");
            String::from_utf8(request).expect("text")
        });
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("in range");
        let sent = send(&args(&[more, &["--url", &url]].concat()), now, &SeededEntropy::new(1)).expect("answered");
        (server.join().expect("served"), sent)
    }

    #[test]
    fn a_sample_is_posted_as_shopify_would() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}\r\n";
        let (request, sent) = exchange(&["shop/redact", "--webhook-id", "w-1"], answer);
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("POST /webhooks?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{head}");
        for line in [
            "X-Shopify-Topic: shop/redact",
            "X-Shopify-Shop-Domain: fixture.myshopify.com",
            "X-Shopify-Webhook-Id: w-1",
            "X-Shopify-Triggered-At: 2026-09-21T14:13:20.000000000Z",
            &format!("X-Shopify-Hmac-Sha256: {}", sign("hush-hush", body.as_bytes())),
        ] {
            assert!(head.lines().any(|found| found == line), "{line} in {head}");
        }
        assert_eq!(sent.text(), "200 OK\n{\"status\":\"accepted\"}");
    }

    #[test]
    fn a_refusal_is_printed_and_chunks_are_put_together() {
        let answer =
            "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
        let (request, sent) = exchange(&["app/uninstalled", "--header-family", "shopify"], answer);
        assert!(request.contains("\r\nShopify-Topic: app/uninstalled\r\n"), "{request}");
        let document = sent.document();
        assert_eq!((&document["status"], &document["body"]), (&json!(401), &json!({"a": 1})));
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        let failure = |args: &SendArgs| match send(args, Utc::now(), &SeededEntropy::new(1)) {
            Ok(_) => panic!("not sendable"),
            Err(error) => error.to_string(),
        };
        assert!(
            failure(&args(&["shop/redact", "--url", "https://x.example/webhooks"]))
                .starts_with("https is not spoken here")
        );
        assert!(failure(&args(&["shop/redact", "--url", "ftp://x"])).starts_with("the URL must look like"));
        assert!(failure(&args(&["orders/create"])).starts_with("there is no sample of this topic"));
        assert!(failure(&args(&["shop/redact", "--webhook-id", "a\r\nb: c"])).contains("control character"));
        // No server listens there; a port that was free a moment ago may be another test's by now.
        assert!(failure(&args(&["shop/redact", "--url", "http://127.0.0.1:1/"])).ends_with("does not answer"));
        let mut without = args(&["shop/redact"]);
        without.secret = None;
        without.secret_file = None;
        assert!(failure(&without).starts_with("no secret to sign with"));
        let shown = format!("{:?}", args(&["shop/redact"]));
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn addresses_with_and_without_a_port_are_understood() {
        let target = |url: &str| Target::parse(url).map(|target| (target.address, target.path)).ok();
        let expect = |address: &str, path: &str| Some((address.to_owned(), path.to_owned()));
        assert_eq!(target("http://localhost"), expect("localhost:80", "/"));
        assert_eq!(target("http://localhost:81?x"), expect("localhost:81", "/?x"));
        assert_eq!(target("http://[::1]/a#b"), expect("[::1]:80", "/a"));
        assert_eq!(target("http://[::1]:81/a"), expect("[::1]:81", "/a"));
        for url in ["http://", "http:///a", "http://a b/", "http://u:p@host/", "localhost"] {
            assert_eq!(target(url), None, "{url}");
        }
    }
}
