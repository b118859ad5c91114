//! The same bytes, however they are cut, are the same requests, and those that another reader sees.

use super::*;
use crate::edge::frontend::protocol::read_forwarded;
use proptest::prelude::*;

fn rules() -> Rules {
    let limits = FrontEndLimits { small_body_bytes: 64, large_bodies_bytes: 16_000, ..FrontEndLimits::default() };
    Rules {
        memory: MemoryBudget::new(&limits),
        limits,
        secret: "secret".to_owned(),
        id_prefix: "test".to_owned(),
        requests: Cell::new(0),
    }
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// What came of some bytes: each request as the server gets it, and the rejection that ended them.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    requests: Vec<(String, Vec<u8>)>,
    rejection: Option<Rejection>,
    left: Vec<u8>,
}

/// Feeds `wire` in pieces that end at `cuts`.
fn outcome(wire: &[u8], cuts: &[usize]) -> Outcome {
    let rules = rules();
    let mut receiver = Receiver::default();
    let mut outcome = Outcome { requests: Vec::new(), rejection: None, left: Vec::new() };
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([wire.len()]).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for to in cuts {
        receiver.push(&wire[from..to]);
        from = to;
        loop {
            match receiver.step(&rules, PEER) {
                ReceiveStep::More => break,
                ReceiveStep::Continue => {}
                ReceiveStep::Complete(whole) => {
                    let mut head = Vec::new();
                    whole.head.write(&whole.meta, whole.body.bytes().len(), &mut head);
                    let head = String::from_utf8(head).expect("the private head is ASCII");
                    outcome.requests.push((head, whole.body.bytes().to_vec()));
                }
                ReceiveStep::NoMemory(_) => {
                    outcome.rejection = Some(Rejection::BodiesFull);
                    return outcome;
                }
                ReceiveStep::Rejected { rejection, .. } => {
                    outcome.rejection = Some(rejection);
                    return outcome;
                }
            }
        }
    }
    outcome.left = receiver.input;
    outcome
}

/// Pieces of requests, good and bad, which meet in any order.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed: Vec<&'static [u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"POST /a?b HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"Host: x\r\n",
        b"Host: x\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"X-Forwarded-For: 1.2.3.4\r\n",
        b"Front-End: secret 6.6.6.6 x\r\n",
        b"A: b\r\n c\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"0\r\n\r\n",
        b"5;a=b\r\nhello\r\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(fixed).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn wire() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_comes_of_bytes_does_not_depend_on_how_they_are_cut(
        wire in wire(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let (whole, cut) = (outcome(&wire, &[]), outcome(&wire, &cuts));
        prop_assert_eq!(&whole.requests, &cut.requests);
        // A fault may be seen earlier or later in a line, under another name; never seen and unseen.
        prop_assert_eq!(whole.rejection.is_some(), cut.rejection.is_some());
    }

    #[test]
    fn what_is_let_in_is_what_another_reader_sees(wire in wire()) {
        let Outcome { requests, .. } = outcome(&wire, &[]);
        let mut rest = wire.as_slice();
        for (private, body) in requests {
            while let Some(after) = rest.strip_prefix(b"\r\n") {
                rest = after;
            }
            // httparse's own reading, from the place where the request before has ended.
            let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut seen = httparse::Request::new(&mut room);
            let Ok(httparse::Status::Complete(end)) = seen.parse(rest) else {
                return Err(TestCaseError::fail("httparse sees no head"));
            };
            let field = |name: &str| {
                seen.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect::<Vec<_>>()
            };
            rest = &rest[end..];
            let seen_body = if field("transfer-encoding").is_empty() {
                let lengths = field("content-length");
                prop_assert!(lengths.len() <= 1);
                let length: usize = lengths
                    .first()
                    .map_or(0, |digits| String::from_utf8_lossy(digits).parse().expect("a length that was let in"));
                let (seen_body, after) = rest.split_at(length);
                rest = after;
                seen_body.to_vec()
            } else {
                prop_assert!(field("content-length").is_empty() && seen.version == Some(1));
                let (seen_body, after) = unchunk(rest);
                rest = after;
                seen_body
            };
            prop_assert_eq!(&body, &seen_body);
            // And the server's: one line, and the body behind it, whatever is in it.
            let (method, path) = (seen.method.expect("a method"), seen.path.expect("a path"));
            let line = private.strip_suffix('\n').expect("it ends");
            prop_assert!(!line.contains(['\r', '\n']), "{}", private);
            let bytes = [private.as_bytes(), &body, b"more"].concat();
            let read = read_forwarded(&bytes, 0).expect("the server reads it");
            prop_assert_eq!((read.method, read.target, read.client), (method, path, PEER));
            prop_assert!(read.id.starts_with("test-"), "{}", private);
            prop_assert_eq!(&bytes[read.body.clone()], &body);
            prop_assert_eq!(read.body.end, bytes.len() - 4);
        }
    }

    #[test]
    fn any_body_survives_its_chunks(
        // In chunks of a byte, six times as much on the wire: still within the memory of these rules.
        body in proptest::collection::vec(any::<u8>(), 0..1500),
        sizes in proptest::collection::vec(1_usize..700, 1..10),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut wire = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let (mut left, mut sizes) = (body.as_slice(), sizes.iter().cycle());
        while !left.is_empty() {
            let size = (*sizes.next().expect("it is endless")).min(left.len());
            wire.extend_from_slice(format!("{size:X}\r\n").as_bytes());
            wire.extend_from_slice(&left[..size]);
            wire.extend_from_slice(b"\r\n");
            left = &left[size..];
        }
        wire.extend_from_slice(b"0\r\n\r\nGET");
        let Outcome { requests, rejection, left } = outcome(&wire, &cuts);
        prop_assert_eq!(rejection, None);
        prop_assert_eq!(&requests[0].1, &body);
        prop_assert_eq!(left, b"GET");
    }
}

/// A second reader of chunks, on httparse's.
fn unchunk(mut wire: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(wire) else {
            panic!("httparse sees no chunk in {}", wire.escape_ascii());
        };
        let size = usize::try_from(size).expect("a size that was let in");
        wire = &wire[line..];
        if size == 0 {
            let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
            match httparse::parse_headers(wire, &mut room) {
                Ok(httparse::Status::Complete((end, _))) => return (body, &wire[end..]),
                _ => panic!("httparse sees no trailer in {}", wire.escape_ascii()),
            }
        }
        body.extend_from_slice(&wire[..size]);
        wire = &wire[size + 2..];
    }
}

#[test]
fn a_large_body_that_others_leave_no_room_for_is_refused() {
    let wire = [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n".as_slice(), &[b'a'; 20_000]].concat();
    assert_eq!(outcome(&wire, &[]).rejection, Some(Rejection::BodiesFull));
}

#[test]
fn line_ends_before_a_request_are_passed_over_but_not_for_ever() {
    assert_eq!(outcome(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", &[1, 2, 3]).requests.len(), 1);
    assert_eq!(outcome(&b"\r\n".repeat(5), &[1, 4]).rejection, Some(Rejection::BadRequestLine));
}
