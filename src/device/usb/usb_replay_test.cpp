// What the fuzz targets drive, with the bytes of a fixed random generator: a bounded run of the
// same in every test.

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "device/usb/ehci_fuzz.h"
#include "device/usb/uhci_fuzz.h"
#include "device/usb/xhci_fuzz.h"

namespace mynah::testing {
namespace {

template <typename Board>
void run_random(unsigned rounds) {
    set_log_level(LogLevel::kError);
    std::mt19937 random(20261122);
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<uint8_t> bytes(random() % 4096);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
        ByteFeed feed(bytes.data(), bytes.size());
        Board board;
        board.run(feed);
    }
    set_log_level(LogLevel::kWarning);
}

TEST(UsbRandomGuest, Xhci) { run_random<XhciFuzzBoard>(200); }
TEST(UsbRandomGuest, Uhci) { run_random<UhciFuzzBoard>(200); }
TEST(UsbRandomGuest, Ehci) { run_random<EhciFuzzBoard>(200); }

}  // namespace
}  // namespace mynah::testing
