//! The warnings that an owner and an operator read before they approve a survey.

use super::SurveyManifest;

impl SurveyManifest {
    /// Warnings, in whole sentences. The survey is valid all the same.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.warnings_of_sums();
        if self.identity.is_none() {
            all.push(
                "without [identity], each attestation counts: what is promised about people holds for attestations only, and one \
                 person may make up a whole group"
                    .into(),
            );
        }
        if !self.fields.is_empty() && !self.partitions().is_empty() {
            all.push(
                "the survey has both [[fields]] and secret groups (categories, missing values, histograms). They divide the same \
                 people in different ways: where columns are related (gross and net), differences between the two tell about few"
                    .into(),
            );
        }
        let exposed = self.exposed();
        if !exposed.is_empty() {
            all.push(format!(
                "this survey publishes single people's values exactly: {}. When one changes, it is seen that it came with the newest \
                 group",
                exposed.join(", ")
            ));
        }
        if !self.noise.is_empty() {
            let spent = self.spent().map_or("more than 1000".into(), |spent| spent.to_string());
            all.push(format!(
                "noise is drawn once for each group that enters, and each person spends epsilon {spent} in all, whatever is asked. \
                 The standard deviation of a sum over K groups is the square root of K times that of one"
            ));
        }
        for category in &self.categories {
            let first = category.values.first().map(String::len);
            if category.values.iter().any(|v| Some(v.len()) != first) {
                all.push(format!(
                    "a text's length is public, and the values of {} have different ones",
                    category.name
                ));
            }
        }
        all
    }

    /// The needs of the survey's order statistics, in whole sentences: one for each column and group.
    pub fn order_notes(&self) -> Vec<String> {
        let note = |list: super::OrderList| {
            let column =
                self.columns.get(usize::from(list.column)).map(|c| c.name.as_str()).unwrap_or_default();
            let of = match list.field.and_then(|f| self.fields.get(f)) {
                Some(field) => format!("each group of {}", field.name),
                None => "everybody".into(),
            };
            format!(
                "{} of {column}, of {of}: from {} people on, and anew when {} more have come",
                list.statistics.join(", "),
                list.least,
                list.least
            )
        };
        self.order_lists().into_iter().map(note).collect()
    }
}
