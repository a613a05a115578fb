// What the JavaScript clients share: the cases, the oracle, and the counting of checks. See lib.py, which is the same.

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

export const TARGET = process.env.TARGET;
export const ORACLE = process.env.ORACLE;
const TOLD = ["location", "content-encoding", "content-range", "etag", "last-modified", "retry-after", "allow", "link", "www-authenticate", "content-type"];

export class Checks {
    count = 0;
    failures = [];

    constructor(versions) {
        this.versions = versions;
    }

    equal(what, got, want) {
        this.count++;
        if (!isDeepStrictEqual(got, want)) this.fail(`${what}: got ${show(got)}, want ${show(want)}`);
    }

    true(what, holds) {
        this.equal(what, Boolean(holds), true);
    }

    // What `act` returns; if it throws, that is a failure.
    async attempt(what, act) {
        this.count++;
        try {
            return await act();
        } catch (error) {
            this.fail(`${what}: ${error?.message ?? error}${error?.cause ? `: ${error.cause.message}` : ""}`.slice(0, 400));
        }
    }

    fail(failure) {
        this.failures.push(failure);
        if (process.env.FIRST) this.report();
    }

    // A result against the same request sent alone.
    same(what, got, want) {
        this.equal(`${what}: status`, got.status, want.status);
        if (want.ofLayer) {
            this.equal(`${what}: status of the problem`, parsed(got.body)?.status, want.status);
            return;
        }
        for (const name of TOLD) this.equal(`${what}: ${name}`, got.headers[name], want.headers[name]);
        this.equal(`${what}: body`, canonical(got), canonical(want));
    }

    report() {
        console.log(JSON.stringify({ checks: this.count, failures: this.failures, versions: this.versions }));
        process.exit(this.failures.length ? 1 : 0);
    }
}

const show = value => String(JSON.stringify(value)).slice(0, 300);

export function parsed(body) {
    try {
        return JSON.parse(body.toString());
    } catch {}
}

function canonical({ headers, body }) {
    const value = headers["content-type"] === "application/json" ? parsed(body) : undefined;
    return value === undefined ? body.toString("latin1") : sorted(value);
}

const sorted = value => JSON.stringify(value, (_, part) =>
    part && typeof part === "object" && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part);

export function cases(kind) {
    const every = JSON.parse(readFileSync(new URL("../cases.json", import.meta.url)));
    return every.filter(({ only }) => (only ?? kind) === kind);
}

// The cases with those of their operations that a client can say, when they run one after the other and none knows of another.
export function plain(can) {
    return cases("document").filter(({ batch }) => !batch).flatMap(({ name, operations, expect = {} }) => {
        // What the layer itself says depends on what those of each format say, but for a panic.
        const kept = [...operations.keys()].filter(index => [undefined, 500].includes(expect[index]) && !operations[index].refs && can(operations[index]));
        const ofKept = kept.flatMap((index, place) => expect[index] ? [[place, expect[index]]] : []);
        return kept.length ? [{ name, operations: kept.map(index => operations[index]), expect: Object.fromEntries(ofKept) }] : [];
    });
}

// What is sent for an operation: its body as bytes.
export function asked({ method = "GET", path, headers = {}, body, encoding }) {
    if (body === undefined) return { method, path, headers: { ...headers } };
    if (encoding === "base64") return { method, path, headers: { ...headers }, body: Buffer.from(body, "base64") };
    if (!/json/.test(headers["content-type"] ?? "json")) return { method, path, headers: { ...headers }, body: Buffer.from(body) };
    return { method, path, headers: { "content-type": "application/json", ...headers }, body: Buffer.from(JSON.stringify(body)) };
}

export const isText = bytes => !bytes || Buffer.from(bytes.toString()).equals(bytes);

export const document = ({ operations, batch }) => ({ operations, ...batch });

export async function expected({ operations, expect = {} }) {
    const results = [];
    const byId = {};
    for (const [index, operation] of operations.entries()) {
        const status = expect[index];
        const result = status ? { status, ofLayer: true, headers: {}, body: Buffer.alloc(0) } : await alone(operation, byId);
        results.push(result);
        if (operation.id) byId[operation.id] = result;
    }
    return results;
}

async function alone(operation, byId) {
    const { method, headers, body, ...rest } = asked(operation);
    let { path } = rest;
    for (const [name, reference] of Object.entries(operation.refs ?? {})) {
        const [, id, kind, rest] = /(.*?)([#@])(.*)/.exec(reference);
        path = kind === "#"
            ? path.replace(`{${name}}`, () => encodeURIComponent(parsed(byId[id].body)[rest.slice(1)]))
            : path.replace(`{+${name}}`, () => byId[id].headers[rest]);
    }
    return direct(method, path, headers, body);
}

export async function direct(method, path, headers = {}, body = undefined, base = ORACLE) {
    const answer = await fetch(base + path, { method, headers, body, redirect: "manual", signal: AbortSignal.timeout(20_000) });
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: Buffer.from(await answer.arrayBuffer()) };
}
