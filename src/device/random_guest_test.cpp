// What the fuzz targets drive, with the bytes of a fixed random generator: a bounded run of the
// same in every test.

#include <gtest/gtest.h>

#include <random>
#include <span>
#include <vector>

#include "device/chipset/chipset_board_fuzz.h"
#include "device/display/vga_board_fuzz.h"
#include "device/input/ps2_board_fuzz.h"
#include "device/interrupt/interrupt_board_fuzz.h"
#include "device/network/network_board_fuzz.h"
#include "device/serial/serial_board_fuzz.h"
#include "device/timer/timer_board_fuzz.h"

namespace mynah::testing {
namespace {

void run_random(void (*drive)(std::span<const uint8_t>), unsigned rounds) {
    std::mt19937 random(20261122);
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<uint8_t> bytes(random() % 4096);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        drive(bytes);
    }
}

TEST(RandomGuest, InterruptControllers) { run_random(drive_interrupt_controllers, 200); }
TEST(RandomGuest, Timers) { run_random(drive_timers, 100); }
TEST(RandomGuest, SerialPort) { run_random(drive_serial_port, 200); }
TEST(RandomGuest, E1000) { run_random(drive_e1000, 200); }
TEST(RandomGuest, Rtl8139) { run_random(drive_rtl8139, 200); }
TEST(RandomGuest, Chipset) { run_random(drive_chipset, 200); }
TEST(RandomGuest, Ps2) { run_random(drive_ps2, 200); }
TEST(RandomGuest, Vga) { run_random(drive_vga, 100); }

}  // namespace
}  // namespace mynah::testing
