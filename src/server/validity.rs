//! Certificates → warnings of those that do not hold now, or will not for long.

use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use log::warn;

use crate::tls::Facts;

/// How long before a certificate ends that is told.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Logs which certificates of a file have ended, or will soon, or have not begun.
pub(super) fn warn_of_times(path: &Path, certificates: &[Facts]) {
    let now = Utc::now();
    for facts in certificates {
        let path = path.display();
        let [begins, ends] = [facts.begins, facts.ends].map(|time| time.format("%F"));
        if facts.begins > now {
            warn!("the certificate in {path} does not hold before {begins}");
        } else if facts.ends <= now {
            warn!("the certificate in {path} has expired on {ends}");
        } else if facts.ends <= now + SOON {
            warn!("the certificate in {path} expires on {ends}");
        }
    }
}
