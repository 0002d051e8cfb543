//! The fault matrix of a sync and of a store: for each thing that goes wrong, the test that fails if the outcome is not what is
//! promised. Always: one line that names the path and the cause, an exit code of its own, nothing lost, no panic.
//!
//! | row | fault | outcome | tests |
//! |---|---|---|---|
//! | 1 | names that climb from a peer | 12, nothing written | [`peer`]`::names_that_climb_end_the_session_and_nothing_is_written`; `transfer::tests::hostile` |
//! | 2 | a link, then a file through it | 12 at once | [`peer`]`::what_goes_through_a_link_of_the_source_is_refused`, `a_link_at_the_destination_is_replaced_and_not_written_through` |
//! | 3 | a parent swapped for a link | 23, outside untouched | [`crate::race`]`::destination_swapped_for_a_link_is_not_left`; each operation: `fs::tests::race` |
//! | 4 | the same at the source | 23, nothing given away | [`crate::race`]`::source_swapped_for_a_link_gives_nothing_away` |
//! | 5 | one name twice | 12 before any write | [`peer`]`::one_name_for_two_things_ends_the_session_before_any_write`; `transfer::tests::hostile` |
//! | 6 | names that a target folds into one | 23, neither overwritten | `apply::tests::folding` |
//! | 7 | names that are not UTF-8 | arrive as they are | [`names`]`::names_of_any_bytes_arrive_as_they_are_and_are_shown_escaped_everywhere` |
//! | 8 | ESC, newline, bidi in names | escaped wherever they are shown | the same; `cli::local::names_of_any_bytes_are_synced_and_escaped` |
//! | 9 | long names, paths, deep trees | work, or are named | [`names`]`::the_longest_names_and_paths_arrive`, `trees_of_2000_levels_and_more_are_made_and_deleted` |
//! | 10 | devices, setuid bits of a peer | dropped, with a notice | [`peer`]`::setuid_bits_devices_and_owners_of_a_peer_are_dropped`; `sync::tests::setuid_bit_of_a_peer_is_not_set` |
//! | 11 | owners, capabilities of a peer | dropped; kept where setuid bits are | the same; [`peer`]`::capabilities_of_a_peer_land_only_where_setuid_bits_may` |
//! | 12 | a source that changes while it is read | what it was at one moment, or 24 | `apply::tests::faults::file_that_vanishes_or_changes_is_consistent_or_24` |
//! | 13 | a full disk | 11, the old file stays | [`disk`]`::a_full_disk_keeps_the_old_file_and_no_temporary_one`; `apply::tests::faults` |
//! | 14 | quota, read-only disk, descriptors, names too long | 11 or 23, with the limit | [`disk`]`::a_quota_that_is_used_up_keeps_the_old_file_and_names_the_limit`, `a_read_only_disk_is_named_with_what_was_to_be_written`, `too_few_descriptors_are_told_or_do`, `a_name_that_is_too_long_with_its_suffix_is_named_and_the_others_are_done` |
//! | 15 | a file that cannot be read | 23, the others are made, nothing deleted | [`disk`]`::a_file_that_cannot_be_read_is_named_the_others_are_made_and_nothing_is_deleted` |
//! | 16 | a barrier or a close that fails | 11, not tried again, not recorded | `apply::tests::faults::what_only_close_tells_ends_the_run_with_11`, [`disk`]`::a_barrier_that_fails_is_not_tried_again_and_nothing_is_recorded_as_done`, `an_index_that_cannot_be_made_durable_changes_no_later_run` |
//! | 17 | SIGKILL at any system call | old or new, a rerun converges | [`crate::crash`]`::kill` |
//! | 18 | a power cut at any point | the same; after exit 0, everything | [`crate::crash`]`::power`; `apply::tests::crash` |
//! | 19 | a source directory that cannot be read, with `--delete` | 23, nothing below is deleted | [`disk`]`::below_a_directory_that_cannot_be_read_nothing_is_deleted` |
//! | | `--max-delete` reached | 25 | `cli::local::more_to_delete_than_allowed_deletes_nothing` |
//! | 20 | two runs into one destination | 11, with the first one's process | `cli::local::the_second_of_two_syncs_into_one_place_names_the_first` |
//! | 21 | clocks that jump, absurd times | no change is missed | [`names`]`::no_time_hides_a_change_or_overflows`; `scan::tests::prove` |
//! | 22 | a network dead for 1 s, 30 s, for ever | goes on; goes on; 30 | [`network`]`::a_network_that_is_dead_for_a_second_delays_the_run`, `…half_a_minute…` (ignored: long), `…for_ever_is_a_timeout_and_the_next_run_goes_on` |
//! | 23 | an address that changes | goes on | [`network`]`::a_client_whose_address_changes_goes_on` |
//! | 24 | loss, reordering, duplicates, small packets | every byte arrives | [`network`]`::loss_reordering_duplicates_and_small_packets_change_no_byte` |
//! | 25 | UDP blocked | told within 5 s (`cli::connect`), or over ssh | [`network`]`::a_server_that_no_packet_reaches_is_said_to_be_silent_long_before_it_is_given_up`; `cli::ssh::without_udp_the_session_goes_over_ssh_and_says_so` |
//! | 26 | another key of the server | 40, with both keys | `cli::remote::a_server_whose_key_changed_is_refused_whatever_is_asked_for` |
//! | 27 | another protocol version | 2, with both versions | [`peer`]`::a_server_of_another_version_is_told_apart_with_both_versions`; `cli::ssh::what_stands_in_the_way_is_told_with_its_code` |
//! | 28 | 2⁶³ bytes, 10⁹ entries | 22 before anything is held | [`peer`]`::claims_beyond_all_limits_end_the_session_before_anything_is_held` |
//! | 29 | a bit of a store flips | 41, or mended from a copy; never given | `store::tests::damage::every_flipped_bit_is_found_never_served_and_mended`, `…of_an_encrypted_store…`; [`crate::store`]`::damage::rot_is_told_with_what_it_affects_and_mended` |
//! | 30 | a pack that ends too early | what stands before its end is read | `store::tests::damage::a_torn_pack_has_what_is_before_its_end` |
//! | 31 | an index that is gone or rotten | made again, the same answers | `store::tests::an_index_is_made_again`; [`crate::store`]`::damage::an_index_that_is_gone_or_rotten_costs_nothing` |
//! | 32 | a place or server that lies | no wrong byte is believed | `store::tests::damage::a_lying_place_is_found_out`, `store::tests::remote::a_lying_server_serves_no_wrong_byte`, `store::blobs::remote::tests::hostile` |
//! | 33 | a collection beside puts | nothing that is named is collected | `store::tests::interleaved::a_collection_beside_puts_loses_nothing_that_is_named` |
//! | 34 | a full disk in put and gc | 11, reading goes on, room comes back | [`crate::store`]`::full::a_store_survives_a_disk_without_room` |
//! | 35 | a digest of another module | the answer is that of one that nobody has | `store::blobs::remote::tests::a_digest_opens_nothing_of_another_module` |

mod disk;
mod names;
mod network;
mod peer;
mod relay;
