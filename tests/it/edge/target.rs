//! `quotegrid serve` as somebody's target, with Shopify's webhooks going on alongside whatever is done to it.

use super::harness::Wire;
use crate::process::harness::{Answer, Client, Hook, Ledger, Machine, Process};
use crate::support::waiting::PATIENCE;
use quotegrid::shopify::Topic;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the server may take in memory, whatever is done to it.
const MEMORY_MAX_KIB: u64 = 150 * 1024;

pub(crate) struct Target {
    pub(crate) machine: Machine,
    pub(crate) server: Process,
    pub(crate) ledger: Ledger,
}

/// What a process holds that must not pile up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) threads: u64,
    pub(crate) descriptors: usize,
}

impl Target {
    pub(crate) fn start(args: &[&str]) -> Self {
        let machine = Machine::new();
        let server = machine.serve(args).ready();
        Self { machine, server, ledger: Ledger::default() }
    }

    /// One that may have no more than `descriptors` open.
    pub(crate) fn start_with_descriptors(descriptors: usize) -> Self {
        let machine = Machine::new();
        let serve = machine.serve_command(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"ulimit -n {descriptors}; exec "$0" "$@""#)]);
        shell.arg(serve.get_program()).args(serve.get_args());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let server = machine.start(shell).ready();
        Self { machine, server, ledger: Ledger::default() }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::to(self.server.address())
    }

    /// Sends `bytes` on a connection of its own and reads the one answer.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> super::harness::Answer {
        let mut wire = self.connect();
        wire.send(bytes);
        wire.answer()
    }

    /// A signed webhook on `client`, which must be taken.
    pub(crate) fn post_on(&self, client: &mut Client, topic: &Topic) -> Answer {
        let hook = Hook::new(topic.clone(), "edge.myshopify.com");
        let answer = client.post(&hook);
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.server.log());
        self.ledger.note(&hook, &answer);
        answer
    }

    /// A signed webhook of somebody who has just connected, which must be taken.
    pub(crate) fn post(&self) {
        self.post_on(&mut self.server.client(), &Topic::CustomersDataRequest);
    }

    /// A figure of /proc/…/status.
    pub(crate) fn figure(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure is there");
        line.trim_start_matches(':').split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    }

    /// The numbers of its open descriptors.
    pub(crate) fn descriptors(&self) -> Vec<u64> {
        let listed = std::fs::read_dir(format!("/proc/{}/fd", self.server.id())).expect("the server runs");
        listed.map(|entry| entry.expect("readable").file_name().to_string_lossy().parse().expect("a number")).collect()
    }

    pub(crate) fn held(&self) -> Held {
        Held { threads: self.figure("Threads"), descriptors: self.descriptors().len() }
    }

    /// What it holds when it has been at work and has nothing left to do.
    pub(crate) fn held_at_rest(&self) -> Held {
        self.post();
        self.machine.settle();
        self.held()
    }

    /// Waits until nothing is left of the thousands that have gone. A few more are let pass: connections to the database are opened
    /// when they are first needed, and what runs the maintenance may just be at something.
    pub(crate) fn wait_for_no_more_than(&self, before: Held) {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = self.held();
            if now.threads <= before.threads + 4 && now.descriptors <= before.descriptors + 16 {
                return;
            }
            assert!(Instant::now() < until, "{before:?} have become {now:?}\n{}", self.server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets it open this many descriptors and no more from now on; its hard limit stays.
    pub(crate) fn limit_descriptors(&self, soft: u64) {
        let id = Pid::from_raw(i32::try_from(self.server.id()).expect("an id")).expect("not 0");
        let maximum = self.descriptor_limits().1;
        prlimit(Some(id), Resource::Nofile, Rlimit { current: Some(soft), maximum: Some(maximum) }).expect("our child");
    }

    /// Its soft and its hard limit.
    pub(crate) fn descriptor_limits(&self) -> (u64, u64) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.server.id())).expect("the server runs");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("the limit is there");
        let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
        (numbers.next().expect("soft"), numbers.next().expect("hard"))
    }

    pub(crate) fn assert_modest(&self) {
        let peak = self.figure("VmHWM");
        assert!(peak < MEMORY_MAX_KIB, "{peak} KiB at the peak");
    }

    /// That it goes on as if nothing had been: it takes a webhook, has kept its memory, has lost nothing that it acknowledged, and
    /// stops when it is asked to.
    pub(crate) fn assert_unharmed(self) {
        self.post();
        self.assert_modest();
        self.machine.settle();
        self.ledger.assert_kept(&self.machine.connection());
        assert_eq!(self.server.stop(), Some(0));
    }
}

/// Lets this process have as many descriptors as it may, and returns how many connections it can open at once.
pub(crate) fn room_for_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // Other tests run alongside this one.
    wanted.min(allowed.saturating_sub(1000) / 2)
}
