//! Which of the mails that are asked for are sent, by whose their addresses are.

/// Whether a mail is sent: the condition on a row of this name that is joined with the row of `users` that
/// has its address, if there is one, and with that of `past_addresses` as `past`, if an account can be taken
/// back to the address.
///
/// - To an account: all but the news that the address is not its any more; if it is locked, only the news of
///   a change, a login, its deletion or its return to an earlier address.
/// - To an address that an account has given up: not the news of what it did before. What was asked for is
///   answered by how things are.
/// - To another one: only what is to sign up, what says that the account is deleted or has an
///   earlier address again, and what is to give the
///   address to an account that still asks for it.
macro_rules! is_sent {
    ($mail:literal) => {
        concat!(
            "CASE
                WHEN users.id IS NOT NULL THEN ",
            $mail,
            ".kind <> 'address_changed'
                    AND (users.locked_at IS NULL OR ",
            $mail,
            ".kind IN (
                        'password_changed', 'login', 'account_deleted', 'address_taken_back',
                        'address_change_undone'))
                WHEN past.id IS NOT NULL THEN ",
            $mail,
            ".kind NOT IN ('password_changed', 'login', 'address_change_undone')
                WHEN ",
            $mail,
            ".kind = 'change_address' THEN EXISTS (
                    SELECT 1 FROM pending_addresses AS p
                    JOIN users AS u ON u.id = p.user_id AND u.password_version = p.password_version
                    WHERE p.email = ",
            $mail,
            ".email)
                ELSE ",
            $mail,
            ".kind IN ('sign_up', 'account_deleted', 'address_taken_back') END"
        )
    };
}

/// The tables that a mail of this name is joined with to tell whether it is sent, with the placeholder of the
/// moment after which an address must have been given up.
macro_rules! with_accounts {
    ($mail:literal, $given_up_after:literal) => {
        concat!(
            $mail,
            " LEFT JOIN users ON users.email = ",
            $mail,
            ".email
                LEFT JOIN past_addresses AS past
                    ON past.email = ",
            $mail,
            ".email AND past.changed_at > ",
            $given_up_after
        )
    };
}

pub(super) use {is_sent, with_accounts};
