// A router that sends clients with the cookie `beta` to a cluster of their own. The contract is in wit/, with the meaning of every function
// and field; bindings/router_plugin.h says it in C. What a function is handed is its own to free, and what it returns is freed by the bindings.

#include <stdlib.h>
#include <string.h>

#include "bindings/router_plugin.h"

enum { BETA, STABLE, CLUSTERS };

static const char *const NAMES[CLUSTERS] = {"beta", "stable"};

static const char SCHEMA[] =
    "{\"type\":\"object\",\"properties\":{\"beta\":{\"type\":\"string\",\"description\":\"Cluster for clients of the beta.\"},"
    "\"stable\":{\"type\":\"string\",\"description\":\"Cluster for everybody else.\"}},\"required\":[\"beta\",\"stable\"],"
    "\"additionalProperties\":false}";

void exports_plimsoll_plugin_lifecycle_describe(exports_plimsoll_plugin_lifecycle_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  router_plugin_string_dup(&ret->name, "{{name}}");
  router_plugin_string_dup(&ret->version, "0.1.0");
  router_plugin_string_dup(&ret->summary, "sends clients of the beta to a cluster of their own");
  router_plugin_tuple2_string_string_t *schema = malloc(sizeof *schema);
  router_plugin_string_dup(&schema->f0, "router");
  router_plugin_string_dup(&schema->f1, SCHEMA);
  ret->config_schemas.ptr = schema;
  ret->config_schemas.len = 1;
}

void exports_plimsoll_plugin_lifecycle_save(router_plugin_string_t *role, uint32_t policy, router_plugin_list_u8_t *ret) {
  router_plugin_string_free(role);
  ret->ptr = NULL;
  ret->len = 0;
}

bool exports_plimsoll_plugin_lifecycle_restore(router_plugin_string_t *role, uint32_t policy, router_plugin_list_u8_t *state) {
  router_plugin_string_free(role);
  router_plugin_list_u8_free(state);
  return false;
}

// What is left of a text.
typedef struct { const uint8_t *at, *end; } text_t;

// Takes blanks, and then the word if it is next.
static bool take(text_t *text, const char *word) {
  while (text->at < text->end && (*text->at == ' ' || *text->at == '\t' || *text->at == '\n' || *text->at == '\r')) ++text->at;
  size_t len = strlen(word);
  if ((size_t)(text->end - text->at) < len || memcmp(text->at, word, len) != 0) return false;
  text->at += len;
  return true;
}

// Takes a string that has nothing to unescape.
static bool take_string(text_t *text, text_t *string) {
  if (!take(text, "\"")) return false;
  string->at = text->at;
  while (text->at < text->end && *text->at != '"' && *text->at != '\\' && *text->at >= ' ') ++text->at;
  string->end = text->at;
  return take(text, "\"") && text->at == string->end + 1;
}

// The two settings that there are. The host has held it to the schema; whoever has more takes a library that reads JSON.
static bool read_names(text_t text, text_t names[CLUSTERS]) {
  if (!take(&text, "{")) return false;
  memset(names, 0, CLUSTERS * sizeof *names);
  for (int left = CLUSTERS; left > 0; left--) {
    text_t key, value;
    if (!take_string(&text, &key) || !take(&text, ":") || !take_string(&text, &value)) return false;
    int which = 0;
    size_t len = key.end - key.at;
    while (which < CLUSTERS && (strlen(NAMES[which]) != len || memcmp(NAMES[which], key.at, len) != 0)) which++;
    if (which == CLUSTERS || names[which].at) return false;
    names[which] = value;
    if (!take(&text, left > 1 ? "," : "}")) return false;
  }
  return take(&text, "") && text.at == text.end;
}

static void copy(router_plugin_string_t *into, text_t text) {
  into->len = text.end - text.at;
  into->ptr = malloc(into->len + 1);
  memcpy(into->ptr, text.at, into->len);
}

bool exports_plimsoll_plugin_router_create(
    uint32_t policy,
    router_plugin_string_t *config,
    exports_plimsoll_plugin_router_plan_t *ret,
    exports_plimsoll_plugin_router_list_config_error_t *err) {
  text_t names[CLUSTERS];
  bool right = read_names((text_t){config->ptr, config->ptr + config->len}, names);
  if (right) {
    memset(ret, 0, sizeof *ret);
    ret->attributes.ptr = calloc(1, sizeof *ret->attributes.ptr);
    ret->attributes.len = 1;
    ret->attributes.ptr->tag = PLIMSOLL_PLUGIN_TYPES_ATTRIBUTE_COOKIE;
    router_plugin_string_dup(&ret->attributes.ptr->val.cookie, "beta");
    ret->clusters.ptr = calloc(CLUSTERS, sizeof *ret->clusters.ptr);
    ret->routes.ptr = calloc(CLUSTERS, sizeof *ret->routes.ptr);
    ret->clusters.len = ret->routes.len = CLUSTERS;
    for (int which = 0; which < CLUSTERS; which++) {
      copy(&ret->clusters.ptr[which], names[which]);
      // Nothing in particular holds for the requests of a route.
      router_plugin_string_dup(&ret->routes.ptr[which].label, NAMES[which]);
    }
    // While the plugin cannot be asked, everybody is served by the cluster for everybody.
    ret->fallback.is_some = true;
    ret->fallback.val = STABLE;
  } else {
    err->ptr = malloc(sizeof *err->ptr);
    err->len = 1;
    router_plugin_string_dup(&err->ptr->path, "");
    router_plugin_string_dup(&err->ptr->message, "expected `beta` and `stable` with names of clusters, and nothing else");
  }
  router_plugin_string_free(config);
  return right;
}

void exports_plimsoll_plugin_router_destroy(uint32_t policy) {}

void exports_plimsoll_plugin_router_route(
    uint32_t policy,
    exports_plimsoll_plugin_router_attribute_values_t *values,
    exports_plimsoll_plugin_router_decision_t *ret) {
  uint32_t which = values->len > 0 && values->ptr[0].is_some ? BETA : STABLE;
  exports_plimsoll_plugin_router_attribute_values_free(values);
  memset(ret, 0, sizeof *ret);
  ret->action.tag = EXPORTS_PLIMSOLL_PLUGIN_ROUTER_ACTION_FORWARD;
  ret->action.val.forward = which;
  ret->route.is_some = true;
  ret->route.val = which;
  // It follows from the cookie alone.
  ret->repeatable = true;
}
