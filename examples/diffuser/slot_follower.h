// What a diffuser with two oils has to do, from what SerenBox publishes: the rules of
// docs/diffuser.md, "A consumer of your own". Plain C++11 that knows neither Arduino nor the
// network, so that the very same code is tested on a PC.
#pragma once

#include <stddef.h>
#include <stdint.h>

// One oil, the other, or neither.
enum class Slot : uint8_t { Off, A, B };

// Every `now` is in milliseconds of a counter that may overflow, such as Arduino's millis().
class SlotFollower {
 public:
  // For so long a box or a broker that is gone changes nothing: most come back within seconds.
  static const uint32_t kGrace = 30UL * 1000;
  // After so long without a word the slot is not believed any more. The box repeats it every
  // 90 seconds at least.
  static const uint32_t kFreshness = 180UL * 1000;

  // Say whether there is a connection to the broker, with every turn of the main loop, and that
  // there is none before each attempt to connect: the broker then tells availability anew.
  void connected(bool is, uint32_t now);

  // Take a message: the last part of its topic, "slot" or "availability", and its payload, which
  // does not end with a zero.
  void received(const char *kind, const uint8_t *payload, size_t length, uint32_t now);

  // Return what has to be on. To be called every few seconds at least.
  Slot slot(uint32_t now);

 private:
  void forget(uint32_t now);

  Slot wanted_ = Slot::Off;
  uint32_t heard_ = 0;  // when `wanted_` was last heard of
  bool connected_ = false;
  bool online_ = false;
  bool there_ = false;  // whether the box is, or was within the grace
  uint32_t seen_ = 0;   // when it was last
};
