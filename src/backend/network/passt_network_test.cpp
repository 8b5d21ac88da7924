#include "backend/network/passt_network.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace mynah {
namespace {

// In the program signals are blocked, to be waited for; a child must not inherit that.
TEST(PasstNetwork, EndsWithItsNetworkAlsoWhereSignalsAreBlocked) {
    std::string folder = (std::filesystem::temp_directory_path() / "mynah-passt-XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    // One that does not end by itself.
    const std::string program = folder + "/passt";
    std::ofstream(program) << "#!/bin/sh\nexec sleep 60\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    const std::string before = getenv("PATH");
    setenv("PATH", (folder + ":" + before).c_str(), 1);
    sigset_t term, old;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &old);
    const auto begin = std::chrono::steady_clock::now();
    {
        auto network = PasstNetwork::start("test");
        EXPECT_TRUE(network.ok());
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(50));
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    setenv("PATH", before.c_str(), 1);
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace mynah
