// Runs the lamp of docs/mqtt.md: each line of standard input is a topic and a payload, or "lost",
// the end of the connection. Prints, after each, the changes of the lamp.
#include <iostream>
#include <string>

#include SKETCH

namespace {

bool connected_ = false;

}  // namespace

void delay(uint32_t) {}
void pinMode(uint8_t, uint8_t) {}
void digitalWrite(uint8_t, uint8_t level) { std::cout << (level == LOW ? "on " : "off "); }

WiFiClass WiFi;
WiFiStatus WiFiClass::begin(const char *, const char *) { return WL_CONNECTED; }

PubSubClient::PubSubClient(WiFiClient &) {}
PubSubClient &PubSubClient::setServer(const char *, uint16_t) { return *this; }
PubSubClient &PubSubClient::setCallback(void (*)(char *, uint8_t *, unsigned int)) { return *this; }
bool PubSubClient::setBufferSize(uint16_t) { return true; }
bool PubSubClient::connect(const char *) { return connected_ = true; }
bool PubSubClient::subscribe(const char *) { return true; }
bool PubSubClient::connected() { return connected_; }
bool PubSubClient::loop() { return connected_; }

int main() {
  setup();
  loop();
  std::string topic, payload;
  while (std::cin >> topic) {
    if (topic == "lost") {
      connected_ = false;
      loop();
    } else {
      std::cin >> payload;
      received(&topic[0], reinterpret_cast<byte *>(&payload[0]),
               static_cast<unsigned>(payload.size()));
    }
    std::cout << std::endl;
  }
}
