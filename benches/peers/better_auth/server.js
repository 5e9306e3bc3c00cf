// A user authentication service out of Better Auth: its own routes, its own tables.

import cluster from 'node:cluster';
import http from 'node:http';
import bcrypt from 'bcrypt';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import Database from 'better-sqlite3';

const COST = 10;
const WORKERS = 2;
const port = Number(process.env.PEER_PORT);

const database = new Database(process.env.PEER_DB);
database.pragma('journal_mode = WAL');
// better-sqlite3 is built with NORMAL, which does not wait for the disk at a commit.
database.pragma('synchronous = FULL');

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  database,
  emailAndPassword: {
    enabled: true,
    // A registration does nothing more than register, as with the other peers.
    autoSignIn: false,
    password: {
      hash: (password) => bcrypt.hash(password, COST),
      verify: ({ hash, password }) => bcrypt.compare(password, hash),
    },
  },
  // All requests of the benchmark come from one address.
  rateLimit: { enabled: false },
});

if (cluster.isPrimary) {
  const { runMigrations } = await getMigrations(auth.options);
  await runMigrations();
  database.close();

  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  process.on('SIGTERM', () => {
    for (const worker of workers) worker.kill();
    process.exit();
  });
} else {
  http.createServer(toNodeHandler(auth)).listen(port, '127.0.0.1');
}
