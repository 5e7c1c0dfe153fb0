//! Who makes an object again: a rule of the table, the controller of its owner, or a maker that only its marks tell. pure

use serde_json::Value;

use super::{Case, Git, Join, Made};
use crate::{
    object::{Object, ObjectId},
    verdict::{
        derived::{self, makers, owner_of, rule_for},
        fast::FastMap,
        recovery::Tri,
    },
};

impl<'a> Join<'a> {
    pub(super) fn made(&self, n: usize) -> Made {
        let case = &self.cases[n];
        if matches!(case.git, Git::Declared) {
            return Made::No;
        }
        let Some(object) = case.live.last().or_else(|| case.copies.any()) else { return Made::No };
        match rule_for(object, &|id| self.service(id), self.memo) {
            Ok(Some(rule)) => Made::By(rule),
            Ok(None) => {
                let owner = self.owner(case).or_else(|| self.maker(case, object));
                owner.map_or(Made::No, |owner| Made::From(owner, Tri::Unknown))
            }
            Err(_) => Made::Unread,
        }
    }

    /// The case of the owner whose controller makes this one.
    fn owner(&self, case: &Case<'a>) -> Option<usize> {
        owner_of(case.live.last().or_else(|| case.copies.any())?)?.iter().find_map(|id| self.find(id))
    }

    /// The case of what makes this one without being its controller.
    fn maker(&self, case: &Case<'a>, object: &Object) -> Option<usize> {
        let owners = derived::owners_of_made(object, self.engine.managers);
        if let Some(owner) = owners.iter().flatten().find_map(|id| self.find(id)) {
            return Some(owner);
        }
        if !makers::may_be_made(&case.id) {
            return None;
        }
        let sought = self.memo.maker(object)?;
        let maker = &makers::MAKERS[sought.row];
        match sought.at {
            Some(id) => self.find(&id).filter(|n| self.said(*n).is_some_and(|v| maker.makes(&v, &case.id))),
            None => self.products.get_or_init(|| self.named_products()).get(&(sought.row, case.id.clone())).copied(),
        }
    }

    /// What the object of a case says, as any witness has it.
    fn said(&self, n: usize) -> Option<Value> {
        Some(self.cases[n].any()?.whole().ok()?.content.value())
    }

    /// What makers name as their products. Of two that name the same the first has it.
    fn named_products(&self) -> FastMap<(usize, ObjectId), usize> {
        let mut out = FastMap::default();
        for (row, maker) in makers::MAKERS.iter().enumerate() {
            let Some(gk) = maker.names_products() else { continue };
            let first = self.cases.partition_point(|c| c.id.gk < gk);
            for n in first..first + self.cases[first..].iter().take_while(|c| c.id.gk == gk).count() {
                if let Some(product) = self.said(n).and_then(|v| maker.product(&self.cases[n].id, &v)) {
                    out.entry((row, product)).or_insert(n);
                }
            }
        }
        out
    }

    fn service(&self, id: &ObjectId) -> Option<Value> {
        self.said(self.find(id)?)
    }
}
