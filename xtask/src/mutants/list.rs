//! The named mutants, and the test that each must make fail.
//!
//! A mutant is a `mutant!("name")` in the code: an alteration that somebody could make, or leave behind, and that must not
//! pass unnoticed. To add one, write the switch where the alteration would be, and a line here.

/// An alteration and the test that notices it.
pub struct Mutant {
    /// The name in the code.
    pub name: &'static str,
    /// Where the test is.
    pub tests: Tests,
    /// The test's whole name.
    pub test: &'static str,
}

const fn mutant(name: &'static str, tests: Tests, test: &'static str) -> Mutant {
    Mutant { name, tests, test }
}

/// A package and its tests: those of the library, or an integration test.
pub type Tests = (&'static str, &'static str);

/// The library's own tests.
pub const LIB: &str = "lib";

const MPC: Tests = ("tercet-mpc", LIB);
const PROTOCOL: Tests = ("tercet-protocol", LIB);
const PARTY: Tests = ("party-host", LIB);
const RELEASES: Tests = ("tercet-releases", "all");
const RELEASES_LIB: Tests = ("tercet-releases", LIB);

/// Switches that only tests throw, at one party: the lies of `mpc/src/compute/tests/liars.rs`.
pub const LIES: &str = "lie-";

/// All named mutants.
pub const MUTANTS: &[Mutant] = &[
    // Recorded sessions as circuits.
    mutant(
        "session-secret-not-checked",
        MPC,
        "proof::tests::session::provers_are_told_that_a_session_is_not_what_they_say",
    ),
    mutant(
        "session-shown-not-checked",
        MPC,
        "proof::tests::session::provers_are_told_that_a_session_is_not_what_they_say",
    ),
    mutant(
        "session-padding-not-checked",
        MPC,
        "proof::tests::session::the_parties_refuse_what_the_prover_cannot_prove",
    ),
    mutant("session-inert-not-checked", MPC, "circuit::session::tests::every_byte_of_every_kind"),
    mutant(
        "session-escape-left-open",
        MPC,
        "circuit::session::tests::escapes_are_followed_through_all_short_texts_and_pieces",
    ),
    // A start by checkpoints, and the memory of a batch.
    mutant(
        "newest-entry-not-read",
        PARTY,
        "store::log::tests::every_height_is_read_and_the_last_with_its_votes",
    ),
    mutant(
        "checkpoint-above-the-log",
        PARTY,
        "store::log::tests::every_height_is_read_and_the_last_with_its_votes",
    ),
    mutant(
        "checkpoint-chain-not-followed",
        PARTY,
        "store::checkpoint::tests::no_byte_can_be_altered_and_no_place_exchanged",
    ),
    mutant("list-ends-at-the-guess", PARTY, "store::listing::tests::every_number_has_one_beginning"),
    mutant(
        "batch-larger-than-the-engine",
        PARTY,
        "node::pool::tests::a_batch_takes_no_more_memory_than_there_is",
    ),
    // New shares of stored rows.
    mutant(
        "refresh-keeps-a-share",
        MPC,
        "refresh::tests::refreshed_shares_are_of_the_same_values_and_all_are_new",
    ),
    mutant("refresh-same-for-all-rows", MPC, "refresh::tests::corrections_are_of_one_row_and_one_seed"),
    // What a party takes and answers.
    mutant(
        "submission-after-the-end",
        PARTY,
        "node::book::tests::nobody_comes_in_once_the_last_release_point_was_due",
    ),
    mutant(
        "filter-on-values-of-nobody",
        PARTY,
        "node::book::tests::a_filter_names_values_that_some_unit_has",
    ),
    // Commitments to unit sums and to new shares.
    mutant(
        "commitments-of-next-not-compared",
        PARTY,
        "node::units::tests::a_party_that_commits_to_another_share_is_caught_by_both_others",
    ),
    mutant(
        "commitments-of-previous-not-compared",
        PARTY,
        "node::units::tests::a_party_that_commits_to_another_share_is_caught_by_both_others",
    ),
    mutant(
        "third-commitments-not-compared",
        PARTY,
        "node::units::tests::a_party_that_commits_to_another_share_is_caught_by_both_others",
    ),
    // Gates among the parties, and the proofs about them.
    mutant("verdict-claim-not-checked", MPC, "compute::tests::liars::a_wrong_product_is_caught"),
    mutant("verdict-digests-not-compared", MPC, "compute::tests::liars::verifiers_compare_what_they_saw"),
    mutant(
        "proof-challenges-without-commitments",
        MPC,
        "compute::verify::transcript::tests::challenges_depend_on_everything",
    ),
    mutant(
        "proof-challenges-without-messages",
        MPC,
        "compute::verify::transcript::tests::challenges_depend_on_everything",
    ),
    mutant(
        "proof-challenges-without-session",
        MPC,
        "compute::verify::transcript::tests::challenges_depend_on_everything",
    ),
    mutant(
        "proof-challenge-may-be-a-point",
        MPC,
        "compute::verify::transcript::tests::a_challenge_is_no_point",
    ),
    mutant(
        "proof-commitments-without-blind",
        MPC,
        "compute::tests::hiding::commitments_do_not_tell_whether_a_guess_is_right",
    ),
    mutant(
        "messages-digest-without-blind",
        MPC,
        "compute::tests::hiding::a_digest_of_messages_does_not_tell_whether_a_guess_is_right",
    ),
    mutant(
        "proof-parts-not-hidden",
        MPC,
        "compute::tests::hiding::explicit_parts_do_not_tell_whether_a_guess_is_right",
    ),
    mutant("proof-last-masks-zero", MPC, "compute::tests::hiding::last_values_are_masked"),
    mutant("gates-without-masks", MPC, "compute::tests::views::gates_and_their_proofs_look_random"),
    // Shuffle, sort, conversions, openings.
    mutant("shuffle-coin-constant", MPC, "compute::tests::views::the_coin_depends_on_all_keys"),
    mutant("shuffle-without-masks", MPC, "compute::tests::views::shuffles_look_random"),
    mutant("shuffle-pass-keeps-order", MPC, "compute::tests::views::nobody_knows_the_order_of_shuffled_rows"),
    mutant("noise-from-one-key", MPC, "compute::tests::views::noise_depends_on_all_keys"),
    mutant("products-without-masks", MPC, "compute::tests::views::products_of_equal_rows_differ"),
    mutant("tag-difference-not-masked", MPC, "compute::tests::views::the_difference_of_tags_is_masked"),
    mutant("tags-not-checked", MPC, "compute::tests::liars::altered_rows_are_caught"),
    mutant("sort-keys-without-number", MPC, "compute::tests::views::ties_do_not_show"),
    mutant("ring-masks-zero", MPC, "compute::tests::views::what_is_opened_of_a_conversion_is_a_fair_coin"),
    mutant(
        "ring-not-shifted-up",
        MPC,
        "compute::tests::views::ring_elements_are_opened_without_what_is_above_them",
    ),
    mutant("opened-share-not-checked", MPC, "compute::tests::liars::a_wrong_opening_is_caught"),
    mutant("third-share-of-any-length", MPC, "net::tests::a_third_share_is_as_long_as_the_own"),
    mutant("session-goes-on-after-an-abort", MPC, "net::tests::an_aborted_session_opens_nothing_more"),
    mutant("item-hash-without-number", MPC, "net::tests::an_item_hash_depends_on_everything"),
    mutant("item-hash-without-share", MPC, "net::tests::an_item_hash_depends_on_everything"),
    mutant("item-hash-without-item", MPC, "net::tests::an_item_hash_depends_on_everything"),
    mutant("session-key-without-index", MPC, "prss::tests::a_key_is_of_its_index"),
    // The provider's proof.
    mutant("share-inputs-in-clear", MPC, "proof::tests::secrecy::a_share_says_nothing_about_the_value"),
    mutant("share-proof-in-clear", MPC, "proof::tests::secrecy::a_share_says_nothing_about_the_value"),
    mutant("prover-masks-public", MPC, "proof::tests::secrecy::the_prover_draws_from_everything"),
    mutant("prover-without-statement", MPC, "proof::tests::secrecy::the_prover_draws_from_everything"),
    mutant("prover-without-witness", MPC, "proof::tests::secrecy::the_prover_draws_from_everything"),
    mutant("transcript-without-version", MPC, "proof::tests::secrecy::a_transcript_is_these_bytes"),
    mutant("transcript-without-lengths", MPC, "proof::tests::secrecy::a_transcript_is_these_bytes"),
    mutant("challenge-may-be-a-point", MPC, "proof::tests::secrecy::a_challenge_is_no_point_of_the_proof"),
    mutant("decimal-high-digits", MPC, "proof::tests::secrecy::digits_far_above_the_largest_value_count"),
    mutant(
        "binding-not-checked",
        MPC,
        "proof::tests::binding::a_private_part_is_opened_under_one_transcript_only",
    ),
    mutant(
        "private-part-with-trailing-bytes",
        MPC,
        "proof::tests::binding::a_party_checks_its_private_part_alone",
    ),
    mutant("row-commitments-not-checked", MPC, "proof::tests::binding::row_commitments_are_of_the_rows"),
    mutant("row-commitment-without-key", MPC, "rows::tests::a_row_is_committed_to_with_its_key"),
    // A batch.
    mutant(
        "batch-opening-not-checked",
        MPC,
        "batch::tests::words::a_party_that_opens_something_else_is_caught",
    ),
    mutant("batch-digest-without-statement", MPC, "batch::tests::words::a_batch_is_all_of_its_public_fields"),
    mutant("batch-digest-without-hashes", MPC, "batch::tests::words::a_batch_is_all_of_its_public_fields"),
    mutant("unknown-status-accepted", MPC, "batch::tests::words::a_peer_says_no_status_that_it_cannot_know"),
    // Who enters the statistics, and what may be asked.
    mutant("small-units-enter", PARTY, "node::book::tests::every_set_is_made_of_whole_units"),
    mutant("small-cohort-is-shown", PARTY, "node::book::tests::every_set_is_made_of_whole_units"),
    mutant("filter-on-secret-columns", PARTY, "node::book::tests::filters_are_on_sums_of_known_units_only"),
    mutant("filter-on-sorted-values", PARTY, "node::book::tests::filters_are_on_sums_of_known_units_only"),
    mutant(
        "sealing-without-submission",
        PROTOCOL,
        "submission::tests::a_private_part_is_sealed_to_one_submission_and_party",
    ),
    // What may leave.
    mutant("unit-one-too-small", RELEASES, "searches::no_combination_tells_rows_of_a_unit_apart"),
    mutant("unit-tells-what-is-not-so", RELEASES, "properties::at_the_last_release_point_nobody_waits_on"),
    mutant("erased-identity-may-return", RELEASES, "searches::no_combination_tells_rows_of_a_unit_apart"),
    mutant("erased-row-leaves-its-unit", RELEASES, "properties::who_leaves_a_unit_stays_in_its_sums"),
    mutant("late-rows-enter", RELEASES, "properties::who_comes_after_a_due_time_waits_for_the_next"),
    mutant(
        "entering-digest-not-compared",
        RELEASES,
        "properties::a_release_point_that_says_something_else_is_refused",
    ),
    mutant("untold-field-matches", RELEASES, "properties::filters_select_whole_units"),
    mutant("secret-clock-stays", RELEASES, "secrets::no_combination_of_secret_units_tells_rows_apart"),
    mutant("secret-rest-of-all-ages", RELEASES, "secrets::rows_of_a_rare_group_wait_before_they_join_a_rest"),
    mutant("renewal-forgets-who-left", RELEASES_LIB, "ranks::tests::erased_rows_put_a_renewal_off"),
    mutant("ranks-one-too-close", RELEASES, "orders::from_n_min_on_no_two_sums_single_somebody_out"),
    mutant("release-point-before-it-is-due", RELEASES, "properties::what_is_due_is_admitted"),
    mutant("missed-release-points-made-up-for", RELEASES, "properties::what_is_due_is_admitted"),
    mutant("few-rows-for-many-sums", RELEASES_LIB, "sums::tests::the_sample_survey_is_admitted_and_warned"),
];
