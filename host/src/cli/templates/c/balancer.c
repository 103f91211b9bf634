// A balancer that takes the endpoints in turns, a burst of requests each. The contract is in wit/, with the meaning of every function and
// field; bindings/balancer_plugin.h says it in C. What a function is handed is its own to free, and what it returns is freed by the bindings.

#include <stdlib.h>
#include <string.h>

#include "bindings/balancer_plugin.h"

#define MOST_BURST 1000000

typedef struct policy {
  struct policy *next;
  uint32_t number, burst, picks;
  // Slots of those that may be chosen. The first `preferred` are of the first level that has somebody.
  uint32_t *open;
  size_t open_len, preferred;
} policy_t;

static policy_t *policies;

static policy_t **find(uint32_t number) {
  policy_t **place = &policies;
  while (*place && (*place)->number != number) place = &(*place)->next;
  return place;
}

static void forget(policy_t **place) {
  policy_t *gone = *place;
  *place = gone->next;
  free(gone->open);
  free(gone);
}

static const char SCHEMA[] =
    "{\"type\":\"object\",\"properties\":{\"burst\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000000,\"default\":1,"
    "\"description\":\"Requests in a row to one endpoint.\"}},\"additionalProperties\":false}";

void exports_plimsoll_plugin_lifecycle_describe(exports_plimsoll_plugin_lifecycle_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  balancer_plugin_string_dup(&ret->name, "{{name}}");
  balancer_plugin_string_dup(&ret->version, "0.1.0");
  balancer_plugin_string_dup(&ret->summary, "takes endpoints in turns, in bursts");
  balancer_plugin_tuple2_string_string_t *schema = malloc(sizeof *schema);
  balancer_plugin_string_dup(&schema->f0, "balancer");
  balancer_plugin_string_dup(&schema->f1, SCHEMA);
  ret->config_schemas.ptr = schema;
  ret->config_schemas.len = 1;
}

void exports_plimsoll_plugin_lifecycle_save(balancer_plugin_string_t *role, uint32_t policy, balancer_plugin_list_u8_t *ret) {
  balancer_plugin_string_free(role);
  ret->ptr = NULL;
  ret->len = 0;
}

bool exports_plimsoll_plugin_lifecycle_restore(balancer_plugin_string_t *role, uint32_t policy, balancer_plugin_list_u8_t *state) {
  balancer_plugin_string_free(role);
  balancer_plugin_list_u8_free(state);
  return false;
}

// Takes blanks, and then the word if it is next.
static bool take(const uint8_t **at, const uint8_t *end, const char *word) {
  while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')) ++*at;
  size_t len = strlen(word);
  if ((size_t)(end - *at) < len || memcmp(*at, word, len) != 0) return false;
  *at += len;
  return true;
}

// The one setting that there is. The host has held it to the schema; whoever has more settings takes a library that reads JSON.
static bool read_burst(const uint8_t *at, size_t len, uint32_t *burst) {
  const uint8_t *end = at + len;
  *burst = 1;
  if (len == 0 || take(&at, end, "null")) return take(&at, end, "") && at == end;
  if (!take(&at, end, "{")) return false;
  if (take(&at, end, "\"burst\"")) {
    if (!take(&at, end, ":")) return false;
    take(&at, end, "");
    *burst = 0;
    while (at < end && *at >= '0' && *at <= '9' && *burst <= MOST_BURST) *burst = *burst * 10 + (*at++ - '0');
    if (*burst < 1 || *burst > MOST_BURST) return false;
  }
  return take(&at, end, "}") && take(&at, end, "") && at == end;
}

bool exports_plimsoll_plugin_balancer_create(
    uint32_t number,
    balancer_plugin_string_t *config,
    exports_plimsoll_plugin_balancer_plan_t *ret,
    exports_plimsoll_plugin_balancer_list_config_error_t *err) {
  uint32_t burst;
  bool right = read_burst(config->ptr, config->len, &burst);
  balancer_plugin_string_free(config);
  if (!right) {
    err->ptr = malloc(sizeof *err->ptr);
    err->len = 1;
    balancer_plugin_string_dup(&err->ptr->path, "/burst");
    balancer_plugin_string_dup(&err->ptr->message, "expected a whole number from 1 to 1000000, and nothing else");
    return false;
  }
  policy_t **place = find(number);
  if (*place) forget(place);
  policy_t *made = calloc(1, sizeof *made);
  made->number = number;
  made->burst = burst;
  made->next = policies;
  policies = made;
  // Neither outcomes nor ticks, nor anything else.
  memset(ret, 0, sizeof *ret);
  return true;
}

void exports_plimsoll_plugin_balancer_destroy(uint32_t number) {
  policy_t **place = find(number);
  if (*place) forget(place);
}

static bool may_be_chosen(const plimsoll_plugin_types_endpoint_t *endpoint) {
  return endpoint->availability == PLIMSOLL_PLUGIN_TYPES_AVAILABILITY_READY && endpoint->weight > 0;
}

void exports_plimsoll_plugin_balancer_endpoints(
    uint32_t number,
    uint64_t generation,
    exports_plimsoll_plugin_balancer_list_endpoint_t *endpoints) {
  policy_t *policy = *find(number);
  if (policy) {
    free(policy->open);
    policy->open = malloc((endpoints->len + 1) * sizeof *policy->open);
    policy->open_len = 0;
    // Further levels are for when there is nobody in the first.
    uint32_t first = UINT32_MAX;
    for (size_t i = 0; i < endpoints->len; i++)
      if (may_be_chosen(&endpoints->ptr[i]) && endpoints->ptr[i].priority < first) first = endpoints->ptr[i].priority;
    for (int further = 0; further < 2; further++) {
      for (size_t i = 0; i < endpoints->len; i++)
        if (may_be_chosen(&endpoints->ptr[i]) && (endpoints->ptr[i].priority != first) == further)
          policy->open[policy->open_len++] = endpoints->ptr[i].slot;
      if (!further) policy->preferred = policy->open_len;
    }
  }
  exports_plimsoll_plugin_balancer_list_endpoint_free(endpoints);
}

bool exports_plimsoll_plugin_balancer_changes(
    uint32_t number,
    uint64_t base,
    uint64_t generation,
    exports_plimsoll_plugin_balancer_list_change_t *changes) {
  exports_plimsoll_plugin_balancer_list_change_free(changes);
  // Then the host tells all of them.
  return false;
}

static bool contains(const balancer_plugin_list_u32_t *slots, uint32_t slot) {
  for (size_t i = 0; i < slots->len; i++)
    if (slots->ptr[i] == slot) return true;
  return false;
}

// The one whose turn it is, or the next one after it that was not tried.
static bool choose(uint32_t number, const balancer_plugin_list_u32_t *tried, exports_plimsoll_plugin_balancer_choice_t *ret) {
  policy_t *policy = *find(number);
  if (!policy || policy->open_len == 0) return false;
  size_t turn = policy->picks++ / policy->burst % policy->preferred;
  ret->slot = policy->open[turn];
  ret->reason = 0;
  for (size_t i = 0; i < policy->open_len; i++) {
    // Those of the first level, from that turn on and round, and then the others.
    size_t place = i < policy->preferred ? (turn + i) % policy->preferred : i;
    if (!contains(tried, policy->open[place])) {
      ret->slot = policy->open[place];
      return true;
    }
  }
  return true;
}

bool exports_plimsoll_plugin_balancer_pick(uint32_t number, uint64_t *key, exports_plimsoll_plugin_balancer_choice_t *ret) {
  balancer_plugin_list_u32_t none = {0};
  return choose(number, &none, ret);
}

bool exports_plimsoll_plugin_balancer_pick_again(
    uint32_t number,
    uint64_t *key,
    uint32_t attempt,
    balancer_plugin_list_u32_t *tried,
    exports_plimsoll_plugin_balancer_choice_t *ret) {
  bool chosen = choose(number, tried, ret);
  balancer_plugin_list_u32_free(tried);
  return chosen;
}

bool exports_plimsoll_plugin_balancer_pick_for(
    uint32_t number,
    exports_plimsoll_plugin_balancer_question_t *question,
    exports_plimsoll_plugin_balancer_choice_t *ret) {
  bool chosen = choose(number, &question->tried, ret);
  exports_plimsoll_plugin_balancer_question_free(question);
  return chosen;
}

void exports_plimsoll_plugin_balancer_prepare(uint32_t number, balancer_plugin_list_u32_t *ret) {
  ret->ptr = NULL;
  ret->len = 0;
}

void exports_plimsoll_plugin_balancer_adopt(uint32_t number, balancer_plugin_list_u32_t *prepared) {
  balancer_plugin_list_u32_free(prepared);
}

void exports_plimsoll_plugin_balancer_tick(uint32_t number, uint64_t now_ms) {}

void exports_plimsoll_plugin_balancer_outcomes(uint32_t number, exports_plimsoll_plugin_balancer_list_outcome_t *batch) {
  exports_plimsoll_plugin_balancer_list_outcome_free(batch);
}
