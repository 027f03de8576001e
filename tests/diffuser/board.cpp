// Runs the sketch's setup() on pins like those of version 3 of the ESP32's core: outputs start low,
// and what is written to a pin before it is one is lost. Prints the levels of both relays before
// each becomes an output, and before the sketch goes on to the network.
#include <iostream>

#include SKETCH

namespace {

bool outputs[40], levels[40];

void show() {
  for (const uint8_t relay : {RELAY_A, RELAY_B}) {
    std::cout << (!outputs[relay] ? "-" : levels[relay] ? "high" : "low") << " ";
  }
  std::cout << std::endl;
}

}  // namespace

uint32_t millis() { return 0; }
void delay(uint32_t) {}
void pinMode(uint8_t pin, uint8_t) {
  show();
  outputs[pin] = true;
}
void digitalWrite(uint8_t pin, uint8_t level) {
  if (outputs[pin]) levels[pin] = level;
}

WiFiClass WiFi;
bool WiFiClass::mode(WiFiMode) { return true; }
WiFiStatus WiFiClass::begin(const char *, const char *) {
  show();
  return WL_CONNECTED;
}
WiFiStatus WiFiClass::status() { return WL_CONNECTED; }

PubSubClient::PubSubClient(WiFiClient &) {}
PubSubClient &PubSubClient::setServer(const char *, uint16_t) { return *this; }
PubSubClient &PubSubClient::setCallback(void (*)(char *, uint8_t *, unsigned int)) { return *this; }
PubSubClient &PubSubClient::setSocketTimeout(uint16_t) { return *this; }
bool PubSubClient::connect(const char *, const char *, const char *) { return true; }
bool PubSubClient::subscribe(const char *, uint8_t) { return true; }
bool PubSubClient::connected() { return true; }
bool PubSubClient::loop() { return true; }

int main() { setup(); }
