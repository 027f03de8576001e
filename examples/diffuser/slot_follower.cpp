#include "slot_follower.h"

#include <string.h>

namespace {

bool equal(const char *word, const uint8_t *payload, size_t length) {
  return length == strlen(word) && memcmp(word, payload, length) == 0;
}

}  // namespace

void SlotFollower::connected(bool is, uint32_t now) {
  forget(now);
  connected_ = is;
  if (!is) online_ = false;  // what the box was may be long past when there is a connection again
}

void SlotFollower::received(const char *kind, const uint8_t *payload, size_t length,
                            uint32_t now) {
  forget(now);
  if (strcmp(kind, "availability") == 0) {
    online_ = equal("online", payload, length);
  } else if (strcmp(kind, "slot") == 0) {
    heard_ = now;
    wanted_ = Slot::Off;  // for every other word, too
    if (equal("A", payload, length)) wanted_ = Slot::A;
    if (equal("B", payload, length)) wanted_ = Slot::B;
  }
}

Slot SlotFollower::slot(uint32_t now) {
  forget(now);
  return there_ ? wanted_ : Slot::Off;
}

// What has become too old is forgotten for good, else it would count again after the counter has
// overflown. Differences of unsigned numbers are right even then.
void SlotFollower::forget(uint32_t now) {
  if (connected_ && online_) {
    there_ = true;
    seen_ = now;
  } else if (there_ && now - seen_ > kGrace) {
    there_ = false;
    wanted_ = Slot::Off;
  }
  if (now - heard_ > kFreshness) wanted_ = Slot::Off;
}
