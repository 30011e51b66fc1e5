//! What every journal promises, one function a promise. [`journal_contract_tests!`](crate::journal_contract_tests)
//! makes a test of each; the function's name is the promise.

use std::sync::Arc;

use bytes::Bytes;

use crate::ports::journal::{Appended, BookId, Group, Journal, Sequence};

/// One test per promise of [the journal](crate::testkit::journal_contract). Give it an async function without
/// arguments that answers a fresh `(Arc<dyn Journal>, anything that must live as long)`. The calling crate needs
/// `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! journal_contract_tests {
    ($factory:expr) => {
        $crate::contract_tests!(
            journal_contract,
            $factory,
            [
                an_empty_book_has_head_zero_and_nothing_to_read,
                what_was_appended_is_read_back_in_order,
                a_filled_slot_is_taken_for_another_group,
                the_same_group_again_is_appended_and_changes_nothing,
                an_older_slot_answers_by_the_id_it_holds,
                reading_begins_where_asked_and_stops_at_the_limit,
                books_do_not_see_each_other,
                books_are_listed_in_the_order_of_their_ids,
                books_are_listed_in_parts_as_they_are_at_once,
                a_book_is_read_in_parts_up_to_its_head,
                of_many_that_want_one_slot_exactly_one_gets_it,
                books_written_at_once_lose_nothing,
                an_empty_and_a_large_group_are_kept_whole,
                groups_larger_than_any_document_are_kept_whole_among_others,
            ]
        );
    };
}

fn book(number: u128) -> BookId {
    BookId::from_u128(number)
}

fn group(id: u128) -> Group {
    Group { id, bytes: Bytes::from(format!("group {id}")) }
}

async fn fill(journal: &dyn Journal, of: BookId, count: u64) {
    for sequence in 1..=count {
        let answer = journal.append(of, sequence, group(u128::from(sequence))).await;
        assert_eq!(answer, Ok(Appended::Appended));
    }
}

async fn sequences(journal: &dyn Journal, of: BookId, from: Sequence, limit: usize) -> Vec<Sequence> {
    let groups = journal.read(of, from, limit).await.expect("readable");
    groups.into_iter().map(|(sequence, _)| sequence).collect()
}

pub async fn an_empty_book_has_head_zero_and_nothing_to_read(journal: Arc<dyn Journal>) {
    assert_eq!(journal.head(book(1)).await, Ok(0));
    assert_eq!(journal.read(book(1), 1, 10).await, Ok(vec![]));
    assert_eq!(journal.books().await, Ok(vec![]));
}

pub async fn what_was_appended_is_read_back_in_order(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 300).await;
    assert_eq!(journal.head(book(1)).await, Ok(300));
    let kept = journal.read(book(1), 1, 1000).await.expect("readable");
    let expected: Vec<_> = (1..=300).map(|sequence| (sequence, group(u128::from(sequence)))).collect();
    assert_eq!(kept, expected);
}

pub async fn a_filled_slot_is_taken_for_another_group(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 1).await;
    assert_eq!(journal.append(book(1), 1, group(99)).await, Ok(Appended::Taken));
    assert_eq!(journal.read(book(1), 1, 10).await, Ok(vec![(1, group(1))]));
    assert_eq!(journal.head(book(1)).await, Ok(1));
}

pub async fn the_same_group_again_is_appended_and_changes_nothing(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 2).await;
    assert_eq!(journal.append(book(1), 2, group(2)).await, Ok(Appended::Appended));
    assert_eq!(journal.head(book(1)).await, Ok(2));
    assert_eq!(journal.read(book(1), 1, 10).await.map(|kept| kept.len()), Ok(2));
}

pub async fn an_older_slot_answers_by_the_id_it_holds(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 5).await;
    assert_eq!(journal.append(book(1), 3, group(3)).await, Ok(Appended::Appended));
    assert_eq!(journal.append(book(1), 3, group(77)).await, Ok(Appended::Taken));
    assert_eq!(journal.head(book(1)).await, Ok(5));
}

pub async fn reading_begins_where_asked_and_stops_at_the_limit(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 5).await;
    assert_eq!(sequences(&*journal, book(1), 2, 2).await, [2, 3]);
    assert_eq!(sequences(&*journal, book(1), 4, 100).await, [4, 5]);
    assert_eq!(sequences(&*journal, book(1), 0, 1).await, [1]);
    assert!(sequences(&*journal, book(1), 6, 100).await.is_empty());
    assert!(sequences(&*journal, book(1), Sequence::MAX, 100).await.is_empty());
    assert!(sequences(&*journal, book(1), 1, 0).await.is_empty());
}

pub async fn books_do_not_see_each_other(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 3).await;
    fill(&*journal, book(2), 1).await;
    assert_eq!(journal.head(book(1)).await, Ok(3));
    assert_eq!(journal.head(book(2)).await, Ok(1));
    assert_eq!(sequences(&*journal, book(1), 1, 100).await, [1, 2, 3]);
    assert_eq!(sequences(&*journal, book(2), 1, 100).await, [1]);
    assert_eq!(journal.head(book(3)).await, Ok(0));
}

pub async fn books_are_listed_in_the_order_of_their_ids(journal: Arc<dyn Journal>) {
    for number in [700, 3, u128::MAX, 41] {
        fill(&*journal, book(number), 2).await;
    }
    assert_eq!(journal.books().await, Ok(vec![book(3), book(41), book(700), book(u128::MAX)]));
}

pub async fn books_are_listed_in_parts_as_they_are_at_once(journal: Arc<dyn Journal>) {
    for number in [5, 9, 2, u128::MAX] {
        fill(&*journal, book(number), 1).await;
    }
    assert_eq!(journal.books_after(None, 0).await, Ok(vec![]));
    assert_eq!(journal.books_after(Some(book(3)), 1).await, Ok(vec![book(5)]));
    assert_eq!(journal.books_after(Some(book(u128::MAX)), 9).await, Ok(vec![]));
    let (mut parts, mut last) = (Vec::new(), None);
    loop {
        let part = journal.books_after(last, 3).await.expect("available");
        assert!(part.len() <= 3);
        let Some(newest) = part.last() else { break };
        last = Some(*newest);
        parts.extend(part);
    }
    assert_eq!(journal.books().await, Ok(parts));
}

pub async fn a_book_is_read_in_parts_up_to_its_head(journal: Arc<dyn Journal>) {
    fill(&*journal, book(1), 7).await;
    let (mut read, mut next) = (Vec::new(), 0);
    loop {
        let page = journal.read_page(book(1), next, 3).await.expect("available");
        assert!(page.groups.len() <= 3);
        let Some((last, _)) = page.groups.last() else { break };
        next = last + 1;
        read.extend(page.groups);
        assert!(!page.is_head || next == 8, "the head is 7, and not {}", next - 1);
    }
    assert_eq!(journal.read(book(1), 1, 100).await, Ok(read));
    assert_eq!(
        journal.read_page(book(1), 8, 3).await.map(|page| (page.groups, page.is_head)),
        Ok((vec![], true))
    );
}

pub async fn of_many_that_want_one_slot_exactly_one_gets_it(journal: Arc<dyn Journal>) {
    for sequence in 1..=20 {
        let wanting: Vec<_> = (0..16)
            .map(|id| {
                let journal = Arc::clone(&journal);
                tokio::spawn(async move { (id, journal.append(book(1), sequence, group(id)).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for one in wanting {
            let (id, answer) = one.await.expect("no panic");
            if answer.expect("available") == Appended::Appended {
                winners.push(id);
            }
        }
        assert_eq!(winners.len(), 1, "slot {sequence}");
        assert_eq!(journal.read(book(1), sequence, 10).await, Ok(vec![(sequence, group(winners[0]))]));
    }
}

pub async fn books_written_at_once_lose_nothing(journal: Arc<dyn Journal>) {
    let writers: Vec<_> = (1..=8)
        .map(|number| {
            let journal = Arc::clone(&journal);
            tokio::spawn(async move { fill(&*journal, book(number), 40).await })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    for number in 1..=8 {
        assert_eq!(sequences(&*journal, book(number), 1, 100).await, (1..=40).collect::<Vec<_>>());
    }
}

pub async fn an_empty_and_a_large_group_are_kept_whole(journal: Arc<dyn Journal>) {
    let empty = Group { id: 1, bytes: Bytes::new() };
    let large = Group { id: 2, bytes: (0..=255).cycle().take(1 << 20).collect() };
    assert_eq!(journal.append(book(1), 1, empty.clone()).await, Ok(Appended::Appended));
    assert_eq!(journal.append(book(1), 2, large.clone()).await, Ok(Appended::Appended));
    assert_eq!(journal.read(book(1), 1, 10).await, Ok(vec![(1, empty), (2, large)]));
}

pub async fn groups_larger_than_any_document_are_kept_whole_among_others(journal: Arc<dyn Journal>) {
    let large = |id: u128, bytes: usize| {
        let first = u8::try_from(id).expect("small");
        Group { id, bytes: (first..=255).cycle().take(bytes).collect() }
    };
    let groups =
        [group(1), large(2, 40 << 20), group(3), large(4, (12 << 20) + 1), large(5, 17 << 20), group(6)];
    for (sequence, group) in (1..).zip(&groups) {
        assert_eq!(journal.append(book(1), sequence, group.clone()).await, Ok(Appended::Appended));
        assert_eq!(journal.append(book(1), sequence, group.clone()).await, Ok(Appended::Appended), "again");
        let other = large(9, 13 << 20);
        assert_eq!(journal.append(book(1), sequence, other).await, Ok(Appended::Taken));
    }
    // Not by `assert_eq`, which would print them.
    let is_kept = |kept: &[(Sequence, Group)], from: Sequence| {
        kept.iter()
            .cloned()
            .eq((from..).zip(groups.iter().skip(usize::try_from(from - 1).expect("small")).cloned()))
    };
    assert!(is_kept(&journal.read(book(1), 1, 10).await.expect("readable"), 1));
    assert!(is_kept(&journal.read(book(1), 4, 10).await.expect("readable"), 4));
    let known = journal.read_known(book(1), 2, 10).await.expect("readable");
    assert!(known.first() == Some(&(2, groups[1].clone())));
    let (mut next, mut read) = (1, Vec::new());
    loop {
        let page = journal.read_page(book(1), next, 10).await.expect("readable");
        let Some((last, _)) = page.groups.last() else { break };
        next = last + 1;
        assert!(!page.is_head || next == 7, "the head is 6, and not {}", next - 1);
        read.extend(page.groups);
    }
    assert!(is_kept(&read, 1));
    assert_eq!(journal.head(book(1)).await, Ok(6));
}
