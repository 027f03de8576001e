// Runs the follower of examples/diffuser on a PC. Each line of standard input is one call,
// "MILLISECONDS WHAT WORD", where WHAT is connected (WORD is 0 or 1), slot or availability (WORD is
// the payload, and may be missing), or slot? (no WORD). Each is answered by a line with the slot.
#include <iostream>
#include <sstream>
#include <string>

#include "slot_follower.h"

int main() {
  SlotFollower follower;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    unsigned long long now = 0;
    std::string what, word;
    words >> now >> what >> word;
    const uint32_t time = static_cast<uint32_t>(now);  // overflows as on the board
    if (what == "connected") {
      follower.connected(word == "1", time);
    } else if (what != "slot?") {
      follower.received(what.c_str(), reinterpret_cast<const uint8_t *>(word.data()), word.size(),
                        time);
    }
    const Slot slot = follower.slot(time);
    std::cout << (slot == Slot::A ? "A" : slot == Slot::B ? "B" : "off") << std::endl;
  }
}
