// As much of Arduino as the example needs to compile; nothing of it works.
#pragma once
#include <stdint.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1
uint32_t millis();
void delay(uint32_t);
void pinMode(uint8_t, uint8_t);
void digitalWrite(uint8_t, uint8_t);
