// As much of the board's Wi-Fi library as the examples need to compile.
#pragma once
#include "Arduino.h"

enum WiFiMode { WIFI_STA = 1 };
enum WiFiStatus { WL_CONNECTED = 3 };
struct WiFiClient {};
struct WiFiClass {
  bool mode(WiFiMode);
  WiFiStatus begin(const char *, const char *);
  WiFiStatus status();
};
extern WiFiClass WiFi;
