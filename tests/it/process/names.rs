//! Names: one to a process, one process to a name, free after death.

use heronry::process::{self, RegisterError, WhereisError, register, unregister, whereis, whereis_pid};
use heronry::{Addr, ExitReason, NAME_BYTES_MAX, NameError};

use super::{Puppet, dead, idle};

#[tokio::test]
async fn a_name_leads_to_its_process_until_it_is_taken_back() {
    let there = idle();
    register("process.names.found", &there).unwrap();
    assert_eq!(whereis::<u32>("process.names.found"), Ok(there.clone()));
    assert_eq!(whereis_pid("process.names.found"), Some(there.pid()));
    assert!(unregister("process.names.found"));
    assert!(!unregister("process.names.found"));
    assert_eq!(whereis_pid("process.names.found"), None);
    let unknown = WhereisError::NotRegistered("process.names.found".to_owned());
    assert_eq!(whereis::<u32>("process.names.found"), Err(unknown));
    register("process.names.other", &there).expect("without its name it may have another");
    process::kill(there.pid());
}

#[tokio::test]
async fn a_taken_name_is_refused_and_says_by_whom() {
    let (holder, other) = (idle(), idle());
    register("process.names.taken", &holder).unwrap();
    let refused = register("process.names.taken", &other).unwrap_err();
    assert!(matches!(&refused, RegisterError::Taken(name, pid)
        if name.as_str() == "process.names.taken" && *pid == holder.pid()));
    assert_eq!(whereis_pid("process.names.taken"), Some(holder.pid()));
    register("process.names.spare", &other).expect("the refusal left it nameable");
    process::kill(holder.pid());
    process::kill(other.pid());
}

#[tokio::test]
async fn a_process_with_two_names_is_refused() {
    let there = idle();
    register("process.names.first", &there).unwrap();
    let refused = RegisterError::NotNameable(there.pid());
    assert_eq!(register("process.names.second", &there), Err(refused));
    assert_eq!(whereis_pid("process.names.second"), None);
    process::kill(there.pid());
}

#[tokio::test]
async fn a_dead_process_gets_no_name() {
    let gone = dead().await;
    assert_eq!(register("process.names.dead", &gone), Err(RegisterError::NotNameable(gone.pid())));
    assert_eq!(whereis_pid("process.names.dead"), None);
}

#[tokio::test]
async fn a_name_is_free_after_the_death_of_its_process() {
    let first = Puppet::new(false);
    register("process.names.heir", &first.addr).unwrap();
    first.end(ExitReason::custom("boom")).await;
    assert_eq!(whereis_pid("process.names.heir"), None);
    let second = idle();
    register("process.names.heir", &second).unwrap();
    assert_eq!(whereis_pid("process.names.heir"), Some(second.pid()));
    process::kill(second.pid());
}

#[tokio::test]
async fn a_name_of_a_process_with_other_messages_gives_no_address() {
    let there: Addr<u32> = idle();
    register("process.names.type", &there).unwrap();
    let other = WhereisError::OtherType("process.names.type".to_owned());
    assert_eq!(whereis::<String>("process.names.type"), Err(other));
    process::kill(there.pid());
}

#[tokio::test]
async fn a_text_that_cannot_be_a_name_is_refused() {
    let there = idle();
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let table = [("", NameError::Empty), (long.as_str(), NameError::TooLong(NAME_BYTES_MAX + 1))];
    for (text, error) in table {
        assert_eq!(register(text, &there), Err(RegisterError::Name(error)));
    }
    register(&"m".repeat(NAME_BYTES_MAX), &there).expect("the longest name");
    process::kill(there.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_want_a_name_at_once_one_gets_it() {
    let rivals: Vec<Puppet> = (0..20).map(|_| Puppet::new(false)).collect();
    let claims = rivals.iter().map(|rival| {
        let addr = rival.addr.clone();
        tokio::spawn(async move { register("process.names.rivals", &addr).is_ok() })
    });
    let mut winners = 0;
    for claim in claims.collect::<Vec<_>>() {
        winners += usize::from(claim.await.unwrap());
    }
    assert_eq!(winners, 1);
    for rival in &rivals {
        process::kill(rival.pid());
        rival.wait().await;
    }
    assert_eq!(whereis_pid("process.names.rivals"), None);
}
