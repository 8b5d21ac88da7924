#include "backend/vhost/inflight_region.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/fault_guard.h"

namespace mynah {
namespace {

// Without a guard this ends the process.
TEST(InflightRegion, SurvivesThatItsFileIsShortened) {
    survive_shrinking_memory();
    constexpr off_t kSize = 1 << 16;
    const Fd file(memfd_create("test", MFD_CLOEXEC));
    ASSERT_EQ(ftruncate(file.get(), kSize), 0);
    const vhost_user::Inflight what{kSize, 0, 2, 256};
    auto region = InflightRegion::adopt(Fd(dup(file.get())), what);
    ASSERT_TRUE(region.ok());
    region.value()->taken(1, 3);
    EXPECT_EQ(region.value()->recover(1, 256, 0).heads, std::vector<uint16_t>{3});
    ASSERT_EQ(ftruncate(file.get(), 0), 0);
    region.value()->taken(0, 7);
    EXPECT_TRUE(region.value()->recover(1, 256, 0).heads.empty());
}

}  // namespace
}  // namespace mynah
