// As much of PubSubClient 2.8 as the examples need to compile.
#pragma once
#include "WiFi.h"

class PubSubClient {
 public:
  explicit PubSubClient(WiFiClient &);
  PubSubClient &setServer(const char *, uint16_t);
  PubSubClient &setCallback(void (*)(char *, uint8_t *, unsigned int));
  PubSubClient &setSocketTimeout(uint16_t);
  bool setBufferSize(uint16_t);
  bool connect(const char *id);
  bool connect(const char *id, const char *user, const char *password);
  bool subscribe(const char *topic);
  bool subscribe(const char *topic, uint8_t qos);
  bool connected();
  bool loop();
};
