//! What operators and time do to what is there.

use super::{KEPT_DELIVERIES, KEPT_FAILED, KEPT_FINISHED, KEPT_REQUESTS, Model};
use crate::model::ops::Answer;
use crate::model::rows::{Job, Status};

impl Model {
    pub(super) fn cancel(&mut self, index: usize) -> Answer {
        let now = self.now;
        let job = &mut self.jobs[index];
        match job.status {
            _ if job.is_pruned => Answer::NotFound,
            Status::Pending => {
                (job.status, job.processed_at) = (Status::Cancelled, Some(now));
                Answer::Changed
            }
            _ => Answer::Conflict,
        }
    }

    pub(super) fn retry(&mut self, index: usize) -> Answer {
        let now = self.now;
        let (job_type, key) = (self.jobs[index].job_type(), self.jobs[index].key);
        let has_key = |job: &Job| key.is_some() && job.key == key && job.job_type() == job_type;
        let is_taken = self.jobs.iter().any(|job| job.is_unfinished() && has_key(job));
        let job = &mut self.jobs[index];
        match job.status {
            _ if job.is_pruned => Answer::NotFound,
            Status::Failed | Status::Cancelled if !is_taken => {
                (job.status, job.attempts, job.recoveries, job.processed_at) = (Status::Pending, 0, 0, None);
                (job.scheduled_at, job.scheduled_from, job.turn_at) = (now, Some(now), None);
                Answer::Changed
            }
            _ => Answer::Conflict,
        }
    }

    pub(super) fn prune(&mut self) -> Answer {
        let now = self.now;
        let (mut jobs, mut requests) = (0, 0);
        for job in self.jobs.iter_mut().filter(|job| !job.is_pruned && !job.is_unfinished()) {
            let kept = if job.status == Status::Failed { KEPT_FAILED } else { KEPT_FINISHED };
            job.is_pruned = job.processed_at.is_some_and(|at| at < now - kept);
            jobs += usize::from(job.is_pruned);
        }
        // A delivery that led to a request of its own is known for as long as that request is.
        let (requests_before, before) = (&self.requests, self.deliveries.len());
        self.deliveries.retain(|(hook, key), (_, received_at, _)| {
            *received_at >= now - KEPT_DELIVERIES
                || requests_before.iter().any(|request| !request.is_pruned && request.came_by(*hook, key, *received_at))
        });
        let deliveries = before - self.deliveries.len();
        for request in self.requests.iter_mut().filter(|request| !request.is_pruned) {
            let is_settled = request.erased_at.is_some() || request.outcome == Some("superseded_by_reinstall");
            let is_old = |at: i64| at < now - KEPT_REQUESTS;
            request.is_pruned = is_settled && is_old(request.created_at) && request.processed_at.is_some_and(is_old);
            requests += usize::from(request.is_pruned);
        }
        let requests_now = &self.requests;
        self.deliveries.retain(|(hook, key), (_, received_at, _)| {
            *received_at >= now - KEPT_DELIVERIES
                || !requests_now.iter().any(|request| request.is_pruned && request.came_by(*hook, key, *received_at))
        });
        Answer::Pruned { jobs, deliveries, requests }
    }
}
