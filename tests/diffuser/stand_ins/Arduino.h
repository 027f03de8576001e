// As much of Arduino as the examples need to compile; nothing of it works.
#pragma once
#include <stdint.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1
#define LED_BUILTIN 2
typedef uint8_t byte;
uint32_t millis();
void delay(uint32_t);
void pinMode(uint8_t, uint8_t);
void digitalWrite(uint8_t, uint8_t);
