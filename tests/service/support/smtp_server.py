"""A mail server for the tests: aiosmtpd, told by lines on standard input how to behave.

Prints its port, then one line of JSON for each command. Ends with its standard input.
"""

import argparse
import asyncio
import email
import email.policy
import functools
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


class Deaf(asyncio.Protocol):
    """Takes connections and never says a word."""


class Session(SMTP):
    """Says at some point what it is told to, instead of what it would say."""

    point = "GREETING"

    async def push(self, status):
        behaviour, *words = self.event_handler.behaviour
        if behaviour == "flood" and words[0] == self.point:
            await self.event_handler.flood(self._writer, status[:4].encode())
        if behaviour == "silent" and words[0] == self.point:
            await asyncio.sleep(60)
        if behaviour == "answer" and words[0] == self.point:
            status = " ".join(words[1:])
        await super().push(status)
        if behaviour == "answer" and words[0] == self.point == "DATA":
            # Else it takes what follows for the mail.
            self.transport.close()


def noting(name, take):
    """A method of a session that takes a command, and notes that it came to this point."""

    @functools.wraps(take)
    async def take_and_note(session, argument):
        session.point = "ENCRYPTED" if session.point == "STARTTLS" else name
        await take(session, argument)

    return take_and_note


for name in ["EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "NOOP", "QUIT"]:
    setattr(Session, f"smtp_{name}", noting(name, getattr(SMTP, f"smtp_{name}")))


class Server:
    def __init__(self, options):
        self.options = options
        self.port = 0
        self.listening = None
        self.behaviour = ["accept"]
        self.mails = []
        self.arrived = asyncio.Event()
        self.flooded = asyncio.Queue()

    def tls_context(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.options.certificate, self.options.key)
        return context

    def protocol(self):
        if self.behaviour[0] == "tarpit":
            return Deaf()
        login = self.options.login
        return Session(
            self,
            hostname="mail.test",
            tls_context=self.tls_context() if self.options.tls == "starttls" else None,
            auth_required=bool(login),
            auth_require_tls=False,
            authenticator=lambda *arguments: AuthResult(
                success=f"{arguments[4].login.decode()}:{arguments[4].password.decode()}" == login,
                # Else it says nothing to who is refused.
                handled=False,
            ),
        )

    async def listen(self):
        context = self.tls_context() if self.options.tls == "wrapped" else None
        self.listening = await asyncio.get_running_loop().create_server(
            self.protocol, self.options.host, self.port, ssl=context
        )
        self.port = self.listening.sockets[0].getsockname()[1]

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.behaviour[0] == "refuse":
            return f"{self.behaviour[1]} <{address}>: no, says the test"
        if self.behaviour[0] == "slow" and self.behaviour[1] in address:
            await asyncio.sleep(60)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def flood(self, writer, start):
        """Begins a line that does not end before the client hangs up. Notes its length."""
        length = 0
        block = start + b"x" * 4096
        try:
            while not writer.transport.is_closing():
                writer.write(block)
                await writer.drain()
                # Else it never hears that the client hung up, where the writer does not mind.
                await asyncio.sleep(0)
                length += len(block)
                block = b"x" * 4096
        finally:
            self.flooded.put_nowait(length)

    async def handle_DATA(self, server, session, envelope):
        server.point = "END"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "encrypted": server.transport.get_extra_info("sslcontext") is not None,
                "headers": [[name, str(value)] for name, value in message.items()],
                "text": message.get_body(["plain"]).get_content(),
                "html": message.get_body(["html"]).get_content(),
            }
        )
        self.arrived.set()
        if self.behaviour[0] == "cut":
            server.transport.abort()
        return "250 OK"

    async def obey(self, command):
        """Does what a line says and returns the mails that came since the last time, or a length."""
        if command[0] == "length":
            return await asyncio.wait_for(self.flooded.get(), 30)
        if command[0] == "wait":
            await asyncio.wait_for(self.arrived.wait(), 30)
        elif command[0] == "down":
            self.listening.close()
            await self.listening.wait_closed()
            self.listening = None
        elif command[0] != "take":
            self.behaviour = command
            if self.listening is None:
                await self.listen()
        self.arrived.clear()
        mails, self.mails = self.mails, []
        return mails


async def main():
    # It tells of every client that does not trust its certificate, which some should not.
    logging.disable()
    warnings.simplefilter("ignore")
    options = argparse.ArgumentParser()
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--tls", choices=["none", "starttls", "wrapped"], default="none")
    options.add_argument("--certificate")
    options.add_argument("--key")
    options.add_argument("--login")
    server = Server(options.parse_args())
    await server.listen()
    print(server.port, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await server.obey(line.split())), flush=True)


asyncio.run(main())
