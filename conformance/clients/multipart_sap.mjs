// OData's multipart, by the SAP Cloud SDK: reads and change sets, in one batch.

import { readFileSync } from "node:fs";
import odata from "@sap-cloud-sdk/odata-v4";

import { Checks, TARGET, direct, parsed } from "./lib.mjs";
import { checkChangeSets } from "./multipart_lib.mjs";

const {
    BatchChangeSet, CreateRequestBuilder, CustomField, DeleteRequestBuilder, Entity, FieldBuilder, GetAllRequestBuilder, GetByKeyRequestBuilder,
    ODataBatchRequestBuilder, RequestBuilder, UpdateRequestBuilder, defaultDeSerializers, entityBuilder,
} = odata;
const { version } = JSON.parse(readFileSync(new URL("../node_modules/@sap-cloud-sdk/odata-v4/package.json", import.meta.url)));
const checks = new Checks({ "@sap-cloud-sdk/odata-v4": version, node: process.versions.node });

// What its generator writes of a description of the API.
class User extends Entity {
    static _entityName = "users";
    static _defaultBasePath = "/";
    static _keys = ["id"];
}

class UserRequestBuilder extends RequestBuilder {
    getByKey = id => new GetByKeyRequestBuilder(this.entityApi, { id });
    getAll = () => new GetAllRequestBuilder(this.entityApi);
    create = user => new CreateRequestBuilder(this.entityApi, user);
    update = user => new UpdateRequestBuilder(this.entityApi, user);
    delete = id => new DeleteRequestBuilder(this.entityApi, { id });
}

const api = {
    deSerializers: defaultDeSerializers,
    navigationPropertyFields: {},
    entityConstructor: User,
    requestBuilder: () => new UserRequestBuilder(api),
    entityBuilder: () => entityBuilder(api),
    customField: (name, isNullable = false) => new CustomField(name, User, defaultDeSerializers, isNullable),
};
const fields = new FieldBuilder(User, defaultDeSerializers);
api.schema = {
    ID: fields.buildEdmTypeField("id", "Edm.Int32", false),
    NAME: fields.buildEdmTypeField("name", "Edm.String", false),
    EMAIL: fields.buildEdmTypeField("email", "Edm.String", false),
};

const users = api.requestBuilder();
const user = values => Object.entries(values).reduce((builder, [name, value]) => builder[name](value), api.entityBuilder()).build();
const change = {
    POST: ({ body }) => users.create(user(body)),
    PATCH: ({ id, body }) => users.update(user({ id, ...body })),
    PUT: ({ id, body }) => users.update(user({ id, ...body })).replaceWholeEntityWithPut(),
    DELETE: ({ id }) => users.delete(id),
};
const changeSet = (...requests) => new BatchChangeSet(requests.map(request => change[request.method](request)));

const execute = (type, ...requests) =>
    new ODataBatchRequestBuilder("/", requests).withSubRequestPathType(type).execute({ url: TARGET }, { skipCsrfTokenFetching: true });

// It takes an empty body for an empty object.
function same(label, got, want) {
    checks.equal(`${label}: status`, got.httpCode, want.status);
    checks.equal(`${label}: body`, got.body, parsed(want.body) ?? {});
}

// All ways in which it writes targets: "/users", "users", and with the server before it.
for (const type of ["relativeToService", "noPath", "absolute"]) {
    await checkChangeSets(checks, async requests => {
        const [answer, ...others] = await execute(type, changeSet(...requests));
        checks.equal("one answer", others, []);
        return answer.isWriteResponses() ? answer.responses : answer;
    }, (label, ...rest) => same(`${type}, ${label}`, ...rest));
}

// Reads between change sets see what those before have done. One that fails doesn't stop the others.
const first = { method: "PATCH", id: 2, body: { name: "Hopper" } };
const second = { method: "POST", body: { name: "Zoë 漢字 🦀", email: "zoe@example.com" } };
const failing = [{ method: "PATCH", id: 2, body: { name: "Nobody" } }, { method: "DELETE", id: 0 }];
const answers = await checks.attempt("in order: answer", () => execute("relativeToService",
    users.getByKey(2), changeSet(first, second), users.getByKey(2), users.getByKey(0), changeSet(...failing), users.getByKey(2),
    changeSet({ method: "DELETE", id: 2 }), users.getByKey(2), users.getAll().filter(api.schema.NAME.equals("Zoë 'x'")).top(1)));
const kinds = ["read", "write", "read", "error", "error", "read", "write", "error", "error"];
const kind = answer => (answer.isReadResponse() ? "read" : answer.isWriteResponses() ? "write" : "error");
checks.equal("in order: kinds", answers?.map(kind), kinds);
const got = answers?.flatMap(answer => (answer.isWriteResponses() ? answer.responses : [answer])) ?? [];
const json = { "content-type": "application/json" };
for (const [index, { method, id, body, query = "" }] of [
    { method: "GET", id: 2 }, first, second, { method: "GET", id: 2 }, { method: "GET", id: 0 }, failing[1], { method: "GET", id: 2 },
    { method: "DELETE", id: 2 }, { method: "GET", id: 2 }, { method: "GET", query: "?$top=1" }].entries()) {
    const want = await direct(method, (id === undefined ? "/users" : `/users(id=${id})`) + query, json, body && JSON.stringify(body));
    checks.true(`in order [${index}]: is there`, got[index]);
    if (got[index]) same(`in order [${index}]`, got[index], want);
}
// As entities of its own.
const [read] = answers?.[0]?.isReadResponse() ? answers[0].as(api) : [];
checks.equal("as an entity", [read?.id, read?.name, read?.email], [2, "Grace", "grace@example.com"]);

// An error of the whole is one that it throws.
const error = await execute("relativeToService", ...Array.from({ length: 101 }, () => users.getByKey(1))).then(() => undefined, error => error);
checks.equal("too many: status", error?.rootCause?.response?.status, 413);

checks.report();
