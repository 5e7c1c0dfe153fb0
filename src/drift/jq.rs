//! Users' jq expressions that choose fields, with limits on what they may do and how long. pure
//!
//! An expression is what Argo CD puts into `del(...)`: a path into the object. It is a stranger's program, so it gets a part of the
//! language (no definitions, no folds, no updates, no functions with a loop of their own, nothing of the machine) and a budget: every value
//! that a step yields costs one, and an expression that spends more is broken. The budget is counted and not timed, so that the same input
//! gives the same answer everywhere.

use std::{cell::Cell, rc::Rc};

use jaq_core::{
    Compiler, Ctx, DataT, Exn, Lut, Native, Vars,
    box_iter::box_once,
    data::HasLut,
    load::{
        Arena, File, Loader,
        lex::StrPart,
        parse,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    path::{Part, Path},
};
use jaq_json::{Val, read};
use serde_json::Value;

/// Values that an expression may yield, in all its steps, for one object.
const BUDGET: u64 = 200_000;
/// Fields that it may choose in one object.
const OUTPUTS: usize = 10_000;
/// Characters of an expression.
const LONGEST: usize = 2_000;
/// Places in an expression where something new is put together: each can double what it is given.
const CONSTRUCTORS: usize = 12;

/// Functions that an expression may call.
const ALLOWED: [&str; 62] = [
    "empty",
    "true",
    "false",
    "null",
    "not",
    "select",
    "tostring",
    "tonumber",
    "recurse",
    "path",
    "paths",
    "getpath",
    "first",
    "last",
    "nth",
    "limit",
    "skip",
    "range",
    "map",
    "to_entries",
    "isempty",
    "all",
    "any",
    "length",
    "keys",
    "keys_unsorted",
    "values",
    "has",
    "in",
    "contains",
    "inside",
    "indices",
    "index",
    "rindex",
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "trim",
    "ltrim",
    "rtrim",
    "ascii_downcase",
    "ascii_upcase",
    "test",
    "type",
    "objects",
    "arrays",
    "strings",
    "numbers",
    "booleans",
    "nulls",
    "scalars",
    "iterables",
    "isboolean",
    "isnumber",
    "isstring",
    "isarray",
    "isobject",
    "sort",
    "split",
    "fromjson",
    "error",
];

/// What the allowed functions are made of.
const PARTS: [&str; 12] =
    ["error_empty", "path_value", "key_values", "totype", "matches", "sort_by", "reverse", "unique", "group_by", "unique_by", "sort", "IN"];

/// The name of the counting function: none that can be written.
const TICK: &str = "\u{1}tick";

/// The kind of data that runs: values of JSON and the purse.
struct Kind;

/// The compiled program and what is left to spend.
#[derive(Clone)]
struct Purse<'a> {
    lut: &'a Lut<Kind>,
    left: &'a Cell<u64>,
}

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Purse<'a>;
}

impl<'a> HasLut<'a, Kind> for Purse<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

/// One step of a chosen path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of a mapping.
    Key(String),
    /// A position in a list.
    Index(usize),
}

impl Step {
    /// The step as a pointer writes it.
    pub fn text(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Index(n) => n.to_string(),
        }
    }
}

/// A compiled expression.
#[derive(Clone)]
pub struct Jq {
    filter: Rc<jaq_core::Filter<Kind>>,
}

fn spend(left: &Cell<u64>) -> bool {
    let rest = left.get();
    left.set(rest.saturating_sub(1));
    rest > 0
}

/// Passes its input on for one unit of the budget. The end of the budget cannot be caught by `try`.
fn tick() -> (&'static str, Box<[jaq_core::Bind]>, Native<Kind>) {
    let native = Native::<Kind>::new(|cv| box_once(if spend(cv.0.data().left) { Ok(cv.1) } else { Err(Exn::halt(1)) }))
        .with_paths(|cv| box_once(if spend(cv.0.data().left) { Ok(cv.1) } else { Err(Exn::halt(1)) }));
    (TICK, Box::new([]), native)
}

impl Jq {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it cannot be read or asks for more than rules may do; the message says what.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        let term = parse(text, |p| p.term()).ok_or("it is no jq expression")?;
        let mut constructors = 0;
        check(&term, &mut constructors)?;
        if constructors > CONSTRUCTORS {
            return Err(format!("it puts new values together in more than {CONSTRUCTORS} places; choose fields by path"));
        }
        let rule = Def { name: "rule", args: Vec::new(), body: counted(term) };
        let wanted = |name: &str| ALLOWED.contains(&name) || PARTS.contains(&name);
        let library = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).filter(|d| wanted(d.name));
        let mut all: Vec<Def<&str>> = Vec::new();
        for part in library {
            all.push(definition(part));
        }
        all.push(rule);
        let arena = Arena::default();
        let modules = Loader::new(all).load(&arena, File { code: "path(rule)", path: () });
        let modules = modules.map_err(|_| "it cannot be read together with the functions that rules may use".to_owned())?;
        let natives = jaq_core::funs::<Kind>().chain(jaq_std::funs::<Kind>()).chain(jaq_json::funs::<Kind>());
        let natives = natives.filter(|(name, ..)| !["env", "now", "halt", "debug_empty", "stderr_empty", "input", "inputs"].contains(name));
        let filter = Compiler::default().with_funs(natives.chain([tick()])).compile(modules).map_err(|errors| {
            let what = errors.iter().flat_map(|(_, e)| e).map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            format!("it uses what rules do not have: {what}")
        })?;
        Ok(Self { filter: Rc::new(filter) })
    }

    /// The fields of an object that it chooses.
    ///
    /// # Errors
    /// When it spends its budget or chooses too many fields. Fields that it cannot reach are not chosen, which is no error.
    pub fn paths(&self, object: &Value) -> Result<Vec<Vec<Step>>, String> {
        let text = object.to_string();
        let input = read::parse_single(text.as_bytes()).map_err(|_| "the object cannot be given to it".to_owned())?;
        let left = Cell::new(BUDGET);
        let ctx = Ctx::<Kind>::new(Purse { lut: &self.filter.lut, left: &left }, Vars::new([]));
        let mut out = Vec::new();
        for value in self.filter.id.run((ctx, input)) {
            match value {
                Err(e) if e.clone().get_halt().is_ok() => return Err(format!("it takes more than {BUDGET} steps")),
                // What `.a[]` finds no list at is not there: Argo CD passes over such errors too.
                Err(e) => match e.get_err() {
                    Ok(e) if e.to_string().starts_with("invalid path expression") => return Err("it makes values and does not choose fields".into()),
                    _ => break,
                },
                Ok(path) => out.extend(steps(&path)),
            }
            if out.len() > OUTPUTS {
                return Err(format!("it chooses more than {OUTPUTS} fields of one object"));
            }
        }
        if left.get() == 0 { Err(format!("it takes more than {BUDGET} steps")) } else { Ok(out) }
    }
}

/// A path as jq gives it; `None` for one that has a slice in it.
fn steps(path: &Val) -> Option<Vec<Step>> {
    let Value::Array(steps) = serde_json::from_str(&path.to_string()).ok()? else { return None };
    let step = |v: &Value| match v {
        Value::String(key) => Some(Step::Key(key.clone())),
        Value::Number(n) => n.as_u64().and_then(|n| usize::try_from(n).ok()).map(Step::Index),
        _ => None,
    };
    steps.iter().map(step).collect()
}

/// Refuses what rules may not do.
fn check(term: &Term<&str>, constructors: &mut usize) -> Result<(), String> {
    let mut inner: Vec<&Term<&str>> = Vec::new();
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Var("$__loc__") => {}
        Term::Var("$ENV") => return Err("it asks for the environment, which rules may not see".into()),
        Term::Var(_) => {}
        Term::Str(format, parts) => {
            if format.is_some() {
                return Err("formats such as @text are not available in rules".into());
            }
            inner.extend(parts.iter().filter_map(|p| if let StrPart::Term(t) = p { Some(t) } else { None }));
            *constructors += inner.len();
        }
        Term::Arr(of) => {
            *constructors += 1;
            inner.extend(of.as_deref());
        }
        Term::Obj(members) => {
            *constructors += 1;
            inner.extend(members.iter().flat_map(|(k, v)| [Some(k), v.as_ref()]).flatten());
        }
        Term::Neg(of) => inner.push(of),
        Term::BinOp(l, op, r) => {
            match op {
                BinaryOp::Pipe(None | Some(Pattern::Var(_))) | BinaryOp::Comma | BinaryOp::Alt | BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {}
                BinaryOp::Pipe(Some(_)) => return Err("patterns are not available in rules".into()),
                BinaryOp::Math(_) => return Err("calculations are not available in rules".into()),
                _ => return Err("it changes the object; a rule only chooses fields".into()),
            }
            inner.extend([&**l, &**r]);
        }
        Term::Label(..) | Term::Break(_) => return Err("labels are not available in rules".into()),
        Term::Fold(..) => return Err("`reduce` and `foreach` are not available in rules".into()),
        Term::Def(..) => return Err("definitions are not available in rules".into()),
        Term::TryCatch(of, catch) => inner.extend([Some(&**of), catch.as_deref()].into_iter().flatten()),
        Term::IfThenElse(branches, other) => {
            inner.extend(branches.iter().flat_map(|(a, b)| [a, b]).chain(other.as_deref()));
        }
        Term::Call(name, args) => {
            if !ALLOWED.contains(name) || (*name == "recurse" && !args.is_empty()) {
                return Err(format!("the function `{name}` is not available in rules"));
            }
            inner.extend(args);
        }
        Term::Path(of, Path(parts)) => {
            inner.push(of);
            for (part, _) in parts {
                match part {
                    Part::Index(i) => inner.push(i),
                    Part::Range(a, b) => inner.extend([a, b].into_iter().flatten()),
                }
            }
        }
    }
    inner.into_iter().try_for_each(|t| check(t, constructors))
}

fn definition(d: Def<&str>) -> Def<&str> {
    // Counting at the entry keeps calls at the end of a definition where they are.
    let body = BinaryOp::Pipe(None);
    Def { name: d.name, args: d.args, body: Term::BinOp(Box::new(Term::Call(TICK, Vec::new())), body, Box::new(counted(d.body))) }
}

/// The same program, with a count after everything that can yield many values.
fn counted<'s>(term: Term<&'s str>) -> Term<&'s str> {
    let boxed = |t: Box<Term<&'s str>>| Box::new(counted(*t));
    let ticking = |t: Term<&'s str>| Term::BinOp(Box::new(t), BinaryOp::Pipe(None), Box::new(Term::Call(TICK, Vec::new())));
    match term {
        Term::Recurse => ticking(Term::Recurse),
        Term::Str(format, parts) => {
            let part = |p| match p {
                StrPart::Term(t) => StrPart::Term(counted(t)),
                other => other,
            };
            Term::Str(format, parts.into_iter().map(part).collect())
        }
        Term::Arr(of) => Term::Arr(of.map(boxed)),
        Term::Obj(members) => Term::Obj(members.into_iter().map(|(k, v)| (counted(k), v.map(counted))).collect()),
        Term::Neg(of) => Term::Neg(boxed(of)),
        Term::BinOp(l, op, r) => Term::BinOp(boxed(l), op, boxed(r)),
        Term::Fold(name, of, pattern, args) => Term::Fold(name, boxed(of), pattern, args.into_iter().map(counted).collect()),
        Term::TryCatch(of, catch) => Term::TryCatch(boxed(of), catch.map(boxed)),
        Term::Label(name, of) => Term::Label(name, boxed(of)),
        Term::IfThenElse(branches, other) => {
            Term::IfThenElse(branches.into_iter().map(|(a, b)| (counted(a), counted(b))).collect(), other.map(boxed))
        }
        Term::Def(defs, body) => Term::Def(
            defs.into_iter()
                .map(|d| Def {
                    name: d.name,
                    args: d.args,
                    body: Term::BinOp(Box::new(Term::Call(TICK, Vec::new())), BinaryOp::Pipe(None), Box::new(counted(d.body))),
                })
                .collect(),
            boxed(body),
        ),
        Term::Call("range", args) => ticking(Term::Call("range", args.into_iter().map(counted).collect())),
        Term::Call(name, args) => Term::Call(name, args.into_iter().map(counted).collect()),
        Term::Path(of, Path(parts)) => {
            let many = parts.iter().any(|(p, _)| matches!(p, Part::Range(..)));
            let part = |p| match p {
                Part::Index(i) => Part::Index(counted(i)),
                Part::Range(a, b) => Part::Range(a.map(counted), b.map(counted)),
            };
            let path = Term::Path(boxed(of), Path(parts.into_iter().map(|(p, opt)| (part(p), opt)).collect()));
            if many { ticking(path) } else { path }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(text: &str, object: &Value) -> Vec<String> {
        let step = |s: &Step| match s {
            Step::Key(k) => k.clone(),
            Step::Index(n) => n.to_string(),
        };
        let all = Jq::read(text).and_then(|jq| jq.paths(object));
        all.map_or_else(|e| vec![format!("broken: {e}")], |all| all.iter().map(|p| p.iter().map(step).collect::<Vec<_>>().join("/")).collect())
    }

    #[test]
    fn expressions_choose_fields_as_in_argo_cd() {
        let object = json!({"webhooks":[{"name":"a","clientConfig":{"caBundle":"x"}},{"name":"b"}],
            "spec":{"template":{"spec":{"containers":[{"name":"app","image":"i"},{"name":"istio-proxy","image":"j","env":[{"name":"X"}]}]}}}});
        for (text, want) in [
            (".webhooks[]?.clientConfig.caBundle", vec!["webhooks/0/clientConfig/caBundle", "webhooks/1/clientConfig/caBundle"]),
            (".webhooks[] | select(.name == \"b\")", vec!["webhooks/1"]),
            (".spec.template.spec.containers[] | select(.name | test(\"^istio\")) | .image", vec!["spec/template/spec/containers/1/image"]),
            (".spec.template.spec.containers[] | select(any(.env[]?; .name == \"X\"))", vec!["spec/template/spec/containers/1"]),
            (".spec.nothing[]", vec![]),
            (".spec.template.spec.initContainers[]?", vec![]),
            (".spec.template.spec.containers[0,1].image", vec!["spec/template/spec/containers/0/image", "spec/template/spec/containers/1/image"]),
            (
                ".. | select(objects | has(\"image\")) | .image",
                vec!["spec/template/spec/containers/0/image", "spec/template/spec/containers/1/image"],
            ),
        ] {
            assert_eq!(chosen(text, &object), want, "{text}");
        }
    }

    #[test]
    fn what_loops_or_blows_up_or_asks_for_the_machine_is_broken() {
        let deep = (0..12).fold(json!([1, 2, 3, 4]), |v, _| json!([v.clone(), v]));
        for text in [
            "def f: f; f",
            "repeat(.)",
            "recurse(.)",
            "range(1000000000000) | empty",
            "select(range(1000000000000) | empty)",
            "select(first(range(0; 1; 0) | select(false)))",
            "select([.. | .. | .. | ..] | length > 0)",
            "select(any(range(1000000000000); . < 0))",
            "[1]",
            "[range(1000000000000)]",
            ".. | .. | .. | ..",
            "reduce range(100) as $i (.; [., .])",
            "while(true; .)",
            "until(false; .)",
            "limit(1000000000; range(0; 1; 0))",
            "first(range(0; 1; 0) | select(false))",
            "try (range(1000000000000) | empty) catch .",
            ". * 1000000000",
            ".a |= 1",
            "$ENV",
            "env",
            "input",
            "now",
            "halt",
            "[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|[.,.]|..",
            "@json",
            "import \"x\" as x; .",
            "((((",
            "",
        ] {
            assert!(chosen(text, &deep).first().is_some_and(|t| t.starts_with("broken: ")), "{text}: {:?}", chosen(text, &deep).len());
        }
    }
}
