// A diffuser with two oils that follows SerenBox: an ESP8266 or ESP32 with two relays.
// Needs the library PubSubClient. What it does when, and why, is in slot_follower.h.
#ifdef ESP8266
#include <ESP8266WiFi.h>
#else
#include <WiFi.h>
#endif
#include <PubSubClient.h>
#include <string.h>

#include "slot_follower.h"

// Yours: the network, the broker, the box (mqtt.prefix and device.name) and the relays.
const char *NETWORK = "network", *NETWORK_PASSWORD = "password";
const char *BROKER = "192.168.1.10", *USER = nullptr, *PASSWORD = nullptr;
const char *NAME = "diffuser";  // another one for every diffuser
#define BOX "serenbox/serenbox/"
const uint8_t RELAY_A = 5, RELAY_B = 4;  // D1 and D2 of many boards
const uint8_t ON = HIGH, OFF = LOW;      // the other way round for relays that are on when low

WiFiClient wifi;
PubSubClient mqtt(wifi);
SlotFollower follower;

void received(char *topic, uint8_t *payload, unsigned int length) {
  follower.received(strrchr(topic, '/') + 1, payload, length, millis());
}

void connectToBroker() {
  static uint32_t tried = 0;
  follower.connected(false, millis());  // it may succeed at once, and nobody would see the gap
  if (WiFi.status() != WL_CONNECTED || millis() - tried < 5000) return;
  if (mqtt.connect(NAME, USER, PASSWORD)) {
    mqtt.subscribe(BOX "slot", 1);
    mqtt.subscribe(BOX "availability", 1);
  }
  tried = millis();
}

void setup() {
  digitalWrite(RELAY_A, OFF);  // before they are outputs, so that neither clicks
  digitalWrite(RELAY_B, OFF);
  pinMode(RELAY_A, OUTPUT);
  digitalWrite(RELAY_A, OFF);  // again: version 3 of the ESP32's core writes to outputs only
  pinMode(RELAY_B, OUTPUT);
  digitalWrite(RELAY_B, OFF);
  WiFi.mode(WIFI_STA);
  WiFi.begin(NETWORK, NETWORK_PASSWORD);  // connects again by itself
  mqtt.setServer(BROKER, 1883);
  mqtt.setSocketTimeout(3);
  mqtt.setCallback(received);
}

void loop() {
  if (!mqtt.loop()) connectToBroker();
  follower.connected(mqtt.connected(), millis());
  const Slot slot = follower.slot(millis());
  if (slot != Slot::A) digitalWrite(RELAY_A, OFF);  // first, so that never both are on
  if (slot != Slot::B) digitalWrite(RELAY_B, OFF);
  if (slot == Slot::A) digitalWrite(RELAY_A, ON);
  if (slot == Slot::B) digitalWrite(RELAY_B, ON);
  delay(10);
}
