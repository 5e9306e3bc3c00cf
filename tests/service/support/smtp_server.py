"""A mail server for the tests: aiosmtpd, told by lines on standard input how to behave.

Prints its port, then one line of JSON for each command. Ends with its standard input.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


class Deaf(asyncio.Protocol):
    """Takes connections and never says a word."""


class Server:
    def __init__(self, options):
        self.options = options
        self.port = 0
        self.listening = None
        self.behaviour = ["accept"]
        self.mails = []
        self.arrived = asyncio.Event()

    def tls_context(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.options.certificate, self.options.key)
        return context

    def protocol(self):
        if self.behaviour[0] == "tarpit":
            return Deaf()
        login = self.options.login
        return SMTP(
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

    async def handle_DATA(self, server, session, envelope):
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
        """Does what a line says and returns the mails that came since the last time."""
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
