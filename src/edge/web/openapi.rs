//! `GET /v1/openapi.json`: the operations as their handlers declare them, and the protocol's messages as their
//! descriptors have them, so that neither can be forgotten here.

use std::{collections::HashMap, sync::LazyLock};

use axum::{http::header, response::IntoResponse};
use hongyan_proto::DESCRIPTORS;
use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::{events, operations, problem::Problem, requests, sign_in, websocket};

#[derive(OpenApi)]
#[openapi(
    info(title = "Hongyan", description = "Every user has one durable log, and every way in is a cursor over it."),
    paths(
        sign_in::log_in,
        sign_in::resume,
        sign_in::log_out,
        sign_in::registration,
        sign_in::register,
        sign_in::ticket,
        events::read,
        operations::ack,
        operations::send,
        operations::signal,
        requests::request,
        requests::account,
        requests::conversations,
        requests::conversation,
        requests::messages,
        requests::status,
        requests::sent_status,
        requests::group,
        requests::members,
        requests::presence,
        requests::contacts,
        requests::privacy,
        websocket::upgrade,
    ),
    components(schemas(Problem, sign_in::Registration, sign_in::RegistrationPolicy, events::Form)),
    security(("bearer" = []), ("cookie" = []))
)]
struct Operations;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Operations::openapi()).expect("an OpenAPI document is plain JSON");
    for operation in document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        for operation in operation.as_object_mut().into_iter().flat_map(Map::values_mut) {
            operation["responses"]["default"] = json!({ "description": "a problem", "content": {
                "application/problem+json": { "schema": reference("Problem") } } });
        }
    }
    let components = &mut document["components"];
    components["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer" },
        "cookie": { "type": "apiKey", "in": "cookie", "name": super::access::COOKIE },
    });
    if let Some(schemas) = components["schemas"].as_object_mut() {
        schemas.extend(messages());
        schemas.extend(envelopes());
    }
    document.to_string()
});

pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// What surrounds the protocol's messages.
fn envelopes() -> Map<String, Value> {
    let wish = json!({ "type": "object", "properties": { "cookie": {
        "type": "boolean", "description": "put the token into a cookie instead of the answer" } } });
    let answer = json!({ "type": "object", "properties": {
        "token": { "type": "string", "description": "for the header Authorization" },
        "syncReset": reference("SyncReset") } });
    let poll = json!({ "type": "object", "required": ["next"], "properties": {
        "next": { "type": "string", "description": "the `after` of the next poll" },
        "entries": { "type": "array", "items": reference("Entry") },
        "passed": { "type": "array", "items": reference("Entry"), "description": "of large groups: without useq" },
        "signal": reference("Signal"),
        "syncReset": reference("SyncReset") } });
    let ticket = json!({ "type": "object", "required": ["ticket", "expiresInMs"], "properties": {
        "ticket": { "type": "string" }, "expiresInMs": { "type": "integer" } } });
    let envelopes = [
        ("Login", json!({ "allOf": [reference("Hello"), wish.clone()] })),
        ("ResumeRequest", json!({ "allOf": [reference("Resume"), wish] })),
        ("LoggedIn", json!({ "allOf": [reference("Welcome"), answer] })),
        ("Poll", poll),
        ("Ticket", ticket),
    ];
    envelopes.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn messages() -> Map<String, Value> {
    let files = FileDescriptorSet::decode(DESCRIPTORS).expect("the descriptors were written by the build").file;
    let mut schemas = Map::new();
    for file in &files {
        let comments = comments(file);
        for (each, index) in file.enum_type.iter().zip(0..) {
            schemas.insert(each.name().into(), enumeration(each, comments.get(&vec![5, index])));
        }
        for (message, index) in file.message_type.iter().zip(0..) {
            for each in &message.enum_type {
                schemas.insert(each.name().into(), enumeration(each, None));
            }
            let schema = schema(message, |path| comments.get(&[&[4, index], path].concat()).cloned());
            schemas.insert(message.name().into(), schema);
        }
    }
    schemas
}

/// What the definitions say of each thing above it, by its path as in `SourceCodeInfo`.
fn comments(file: &FileDescriptorProto) -> HashMap<Vec<i32>, String> {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let comments = locations.filter_map(|location| Some((location.path.clone(), location.leading_comments.clone()?)));
    comments.map(|(path, comment)| (path, comment.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

fn enumeration(each: &EnumDescriptorProto, comment: Option<&String>) -> Value {
    let names: Vec<&str> = each.value.iter().map(|value| value.name()).collect();
    described(json!({ "type": "string", "enum": names }), comment.cloned())
}

fn described(mut schema: Value, comment: Option<String>) -> Value {
    if let Some(comment) = comment {
        schema["description"] = comment.into();
    }
    schema
}

/// `comment`: of the message, or by a path in it.
fn schema(message: &DescriptorProto, comment: impl Fn(&[i32]) -> Option<String>) -> Value {
    let fields = message.field.iter().zip(0..);
    let fields = fields.map(|(field, index)| (field, described(field_schema(field), comment(&[2, index]))));
    let mut properties: Map<String, Value> = fields.map(|(field, schema)| (field.json_name().into(), schema)).collect();
    if properties.contains_key("content") {
        properties.insert("text".into(), json!({ "type": "string", "description": "in place of `content`" }));
    }
    let schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    described(schema, comment(&[]))
}

fn field_schema(field: &FieldDescriptorProto) -> Value {
    let one = match field.r#type() {
        Type::Bool => json!({ "type": "boolean" }),
        Type::String => json!({ "type": "string" }),
        Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Type::Uint64 | Type::Fixed64 | Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
            json!({ "type": ["string", "integer"], "format": "int64" })
        }
        Type::Double | Type::Float => json!({ "type": "number" }),
        Type::Message | Type::Enum | Type::Group => reference(field.type_name().rsplit('.').next().unwrap_or_default()),
        Type::Uint32 | Type::Fixed32 | Type::Int32 | Type::Sint32 | Type::Sfixed32 => json!({ "type": "integer" }),
    };
    match field.label() {
        Label::Repeated => json!({ "type": "array", "items": one }),
        _ => one,
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|inner| references(inner, found));
            }
            Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_names_nothing_that_it_does_not_describe() {
        let document: Value = serde_json::from_str(&DOCUMENT).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{reference}");
        }
        assert_eq!(document["paths"].as_object().unwrap().len(), 22);
        assert_eq!(schemas["Send"]["properties"]["text"]["type"], "string");
        assert_eq!(schemas["Recall"]["description"], "Takes a message back: its body leaves the store.");
        assert_eq!(schemas["Recall"]["properties"]["author"]["description"], "By the server: who wrote it.");
        assert!(document["paths"]["/v1/privacy"]["get"]["responses"]["default"].is_object());
    }
}
