// What the clients of OData's multipart share: change sets, and how texts are compared.

import { ORACLE, TARGET, direct, parsed } from "./lib.mjs";

const json = { "content-type": "application/json" };
const zoe = { name: "Zoë 漢字 🦀", email: "zoe@example.com" };
const post = body => ({ method: "POST", body });
const patch = (id, body) => ({ method: "PATCH", id, body });
const put = (id, body) => ({ method: "PUT", id, body });
const remove = id => ({ method: "DELETE", id });

// Of three users. What fails has its place beside it; all else succeeds when it is sent alone.
const changeSets = (a, b, c) => [
    ["all succeed", [post(zoe), patch(a, { name: "Hopper" }), put(b, { name: "B.", email: "b@example.org" }), remove(c)]],
    ["one alone", [patch(a, { email: "h@example.org" })]],
    ["one in the middle fails", [post(zoe), patch(0, { name: "Nobody" }), remove(a)], 1],
    ["the first one fails", [remove(0), post(zoe)], 0],
    ["the last one fails", [patch(a, { name: "Nobody" }), remove(a), put(c, zoe)], 2],
    ["one is no user", [patch(a, { name: "Nobody" }), post({ name: "Nobody" })], 1],
    ["one alone fails", [remove(c)], 0],
    ["one that deletes", [remove(b)]],
    ["what the one before has made", [post(zoe), patch(c + 1, { name: "Zoe" }), patch(a, { name: "Grace" })]],
];

// `send` writes a change set and returns what has been read: a list, or the one answer to all of it. `same` compares one
// of these with what the same request alone is answered, and is told its place.
export async function checkChangeSets(checks, send, same) {
    const [a, b, c] = await Promise.all([TARGET, ORACLE].map(makeThree)).then(([ids]) => ids);
    for (const [name, requests, failing] of changeSets(a, b, c)) {
        const answer = await checks.attempt(`${name}: answer`, () => send(requests));
        const isFailure = failing !== undefined;
        checks.equal(`${name}: answers`, Array.isArray(answer) ? answer.length : "one for all", isFailure ? "one for all" : requests.length);
        for (const [index, { method, id, body }] of (isFailure ? [requests[failing]] : requests).entries()) {
            const want = await direct(method, id === undefined ? "/users" : `/users/${id}`, json, JSON.stringify(body));
            const got = Array.isArray(answer) ? answer[index] : answer;
            const label = `${name} [${index}]`;
            checks.true(`${label}: is there`, got);
            if (got) same(label, got, want, failing ?? index);
        }
        // All of it has been carried out, or nothing.
        for (const id of [a, b, c, c + 1, c + 2, c + 3]) {
            const [got, want] = await Promise.all([TARGET, ORACLE].map(base => direct("GET", `/users/${id}`, {}, undefined, base)));
            checks.same(`${name}: user ${id} after it`, got, want);
        }
    }
}

async function makeThree(base) {
    const ids = [];
    for (const name of ["Ada", "Grace", "Barbara"]) {
        const { body } = await direct("POST", "/users", json, JSON.stringify({ name, email: "x@example.com" }), base);
        ids.push(parsed(body).id);
    }
    return ids;
}

// These clients take an answer as text whatever it is. Bytes that are no UTF-8 come as U+FFFD.
export const asText = body => body.toString().replace(/\r?\n/g, "\r\n");
