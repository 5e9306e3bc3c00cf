//! Several instances of the service on one database: how they start together, are upgraded one after the
//! other, and stand in each other's way.

use crate::support::Inside;

mod conflicts;
mod starts;
mod upgrades;
mod waiting;

/// Lets transactions be serializable that do not say what they are to be.
async fn be_serializable(inside: &Inside) {
    inside
        .execute(
            "DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable',
                     current_database());
             END $$",
        )
        .await;
}
