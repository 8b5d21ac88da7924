#pragma once

namespace mynah {

// What a guest can ask of its power supply. Called in the middle of a guest's I/O instruction, on
// the vCPU's thread, with no lock held: the machine takes note and kicks its vCPUs.
class PowerSink {
 public:
    virtual ~PowerSink() = default;
    virtual void power_off() = 0;
    virtual void reset() = 0;
};

}  // namespace mynah
