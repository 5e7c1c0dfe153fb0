//! The server's dry run beside a verdict, in words. pure

use super::{
    model::{Answer, Confirmed, Deed},
    text::{clean, shorten},
};

/// Fields that one sentence names.
const NAMED: usize = 3;

/// Longest message of the server in a table.
const MESSAGE: usize = 160;

/// What a reader of a table needs to know: nothing where the server was not asked.
pub fn hint(confirmed: &Confirmed) -> Option<String> {
    match confirmed.answer {
        Answer::Agrees => Some("The server's dry run agrees.".into()),
        Answer::Differs => Some(format!("The server's dry run differs: {}.", deeds(confirmed))),
        Answer::Refused => {
            let why = confirmed.message.as_deref().or(confirmed.reason.as_deref()).unwrap_or("it gives no reason");
            Some(format!("The server would refuse it: {}.", shorten(&clean(why), MESSAGE).trim_end_matches('.')))
        }
        Answer::Unasked => None,
    }
}

/// All that was said, in one sentence.
pub fn sentence(confirmed: &Confirmed) -> String {
    let whom = match (&confirmed.manager, confirmed.at) {
        (Some(manager), Some(at)) => format!(" (asked as {} at {at})", clean(manager)),
        _ => String::new(),
    };
    let said = match confirmed.answer {
        Answer::Agrees => "agrees: the next apply would change the fields that are told, and no other".to_owned(),
        Answer::Differs => format!("differs: {}", deeds(confirmed)),
        Answer::Refused => "would refuse what Git says".to_owned(),
        Answer::Unasked => "was not asked, or gave no answer".to_owned(),
    };
    let why = match (&confirmed.reason, &confirmed.message) {
        (Some(reason), Some(message)) => format!(": {reason}: {}", clean(message)),
        (Some(reason), None) => format!(": {reason}"),
        _ => String::new(),
    };
    format!("{said}{why}{whom}")
}

/// What would be done to each field on which the two differ.
fn deeds(confirmed: &Confirmed) -> String {
    let one = |f: &super::model::ConfirmedField| {
        let then = f.then.as_deref().map_or_else(|| "nothing".to_owned(), |t| shorten(&clean(t), 40));
        let path = clean(&f.path);
        match f.deed {
            Deed::Keeps => format!("an apply would leave {path} as it is"),
            Deed::Alters => format!("an apply would make {path} {then}, which is not what Git says"),
            Deed::Changes => format!("an apply would also make {path} {then}"),
        }
    };
    let mut told: Vec<String> = confirmed.fields.iter().take(NAMED).map(one).collect();
    if confirmed.fields.len() > NAMED {
        told.push(format!("and {} more", confirmed.fields.len() - NAMED));
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::ConfirmedField;

    #[test]
    fn every_answer_has_its_words() {
        let of = |answer| Confirmed {
            answer,
            manager: Some("argocd-controller".into()),
            at: Some("2026-03-02T12:00:00Z".parse().expect("a time")),
            reason: None,
            message: None,
            fields: Vec::new(),
        };
        assert_eq!(hint(&of(Answer::Agrees)).as_deref(), Some("The server's dry run agrees."));
        let field = |path: &str, deed, then: Option<&str>| ConfirmedField { path: path.into(), deed, then: then.map(Into::into) };
        let fields = vec![field("spec.a", Deed::Keeps, None), field("spec.b", Deed::Alters, Some("2")), field("spec.c", Deed::Changes, None)];
        let differs = Confirmed { fields, ..of(Answer::Differs) };
        assert_eq!(
            hint(&differs).as_deref(),
            Some(
                "The server's dry run differs: an apply would leave spec.a as it is; an apply would make spec.b 2, which is not what Git says; an apply \
                 would also make spec.c nothing."
            )
        );
        let refused = Confirmed { reason: Some("invalid".into()), message: Some("spec.selector: field is immutable".into()), ..of(Answer::Refused) };
        assert_eq!(hint(&refused).as_deref(), Some("The server would refuse it: spec.selector: field is immutable."));
        assert_eq!(
            sentence(&refused),
            "would refuse what Git says: invalid: spec.selector: field is immutable (asked as argocd-controller at 2026-03-02T12:00:00Z)"
        );
        assert_eq!(hint(&Confirmed::unasked("forbidden", None)), None);
        assert_eq!(sentence(&Confirmed::unasked("forbidden", None)), "was not asked, or gave no answer: forbidden");
    }
}
