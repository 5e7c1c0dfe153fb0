//! What the backups were at another moment than now, for a report that is asked to speak of it. pure

use jiff::Timestamp;

use super::cron::Cron;
use crate::witness::{BackedUp, Backup, BackupContent, BackupState, Failure};

/// Takes back what came after a moment: backups that had not ended do not count, and schedules say what was due next then.
///
/// A daemon's own clock is no such moment: there a start in the future means that clocks disagree, and the backup is as good as its content.
pub fn seen_from(moment: Timestamp, backed_up: &mut BackedUp) {
    for backup in &mut backed_up.backups {
        let why = if later(backup.start, moment) {
            format!("it had not begun at {moment}")
        } else if later(backup.completed, moment) {
            format!("it was still in progress at {moment}")
        } else {
            continue;
        };
        let content = BackupContent::Unread(Failure::new("later", format!("backup {}: {why}", backup.name)));
        *backup = Backup { state: BackupState::Pending, reason: "later".into(), why, content, ..backup.clone() };
    }
    backed_up.restores.retain(|r| !later(r.completed.or(r.started), moment));
    for schedule in &mut backed_up.schedules {
        let then = schedule.next_due.and_then(|_| Cron::parse_in(&schedule.cron, &schedule.zone).ok()?.next(moment));
        schedule.last_backup = schedule.last_backup.filter(|t| *t <= moment);
        schedule.counts_from = schedule.counts_from.min(moment);
        schedule.next_due = schedule.next_due.map(|due| then.map_or(due, |then| due.min(then)));
    }
}

fn later(time: Option<Timestamp>, moment: Timestamp) -> bool {
    time.is_some_and(|t| t > moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::world::{Snapshot, World, at};

    #[test]
    fn what_had_not_ended_does_not_count_and_the_next_one_is_due_as_it_was() {
        let world = World::new().backup(Snapshot::new("old", "01:00")).backup(Snapshot::new("new", "02:00").ended("02:10"));
        let world = world.schedule("nightly", Some("03:00"));
        for (clock, old, new) in [
            ("00:30", "pending: it had not begun at", "pending: it had not begun at"),
            ("01:00", "restorable: completed", "pending: it had not begun at"),
            ("02:05", "restorable: completed", "pending: it was still in progress at"),
            ("02:10", "restorable: completed", "restorable: completed"),
        ] {
            let mut backed_up = world.backed_up.clone();
            seen_from(at(clock), &mut backed_up);
            for (name, want) in [("old", old), ("new", new)] {
                let backup = backed_up.backups.iter().find(|b| &*b.name == name).expect("it stays");
                let told = format!("{}: {}", backup.state.name(), backup.why);
                assert!(told.starts_with(want), "{clock}: {name}: {told}");
                assert_eq!(backup.content.archive().is_ok(), backup.state.usable(), "{clock}: {name}");
            }
        }
        for (moment, due) in [("2026-03-02T00:30:00Z", "2026-03-02T01:00:00Z"), ("2026-03-02T02:30:00Z", "2026-03-02T03:00:00Z")] {
            let mut backed_up = world.backed_up.clone();
            backed_up.schedules[0].cron = "0 * * * *".into();
            seen_from(moment.parse().expect("a time"), &mut backed_up);
            assert_eq!(backed_up.schedules[0].next_due, Some(due.parse().expect("a time")), "{moment}");
        }
    }
}
