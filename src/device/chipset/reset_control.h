#pragma once

#include <atomic>
#include <cstdint>

#include "bus/io_handler.h"
#include "device/chipset/a20_gate.h"
#include "device/chipset/power_sink.h"

namespace mynah {

// The reset control register, port CF9h on a PC [ICH10 13.7.5]: bit 2 going from 0 to 1 resets
// (bit 1: the whole system, else the processors; here always the machine). Also the ACPI reset
// register. One port; any thread.
class ResetControl final : public IoHandler {
 public:
    explicit ResetControl(PowerSink& power) : power_(power) {}
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    void reset() { register_ = 0; }

 private:
    PowerSink& power_;
    std::atomic<uint8_t> register_{0};
};

// System control port A, port 92h on a PC [PS/2 TRM]: bit 0 going from 0 to 1 resets, bit 1 opens
// the A20 gate. The other bits are storage for lamps and locks. One port; any thread.
class SystemControlPortA final : public IoHandler {
 public:
    SystemControlPortA(A20Gate& a20, PowerSink& power) : a20_(a20), power_(power) {}
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    void reset();

 private:
    A20Gate& a20_;
    PowerSink& power_;
    std::atomic<uint8_t> register_{0x02};
};

}  // namespace mynah
