#include "cli/engine_preflight.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mynah {
namespace {

using Kind = KvmVerdict::Kind;

TEST(EnginePreflight, EmulatedKvmRunsIfItIsWanted) {
    EngineMeasures measures;
    EXPECT_EQ(obstacle(measures, false), nullptr);
    measures.kvm.kind = Kind::kEmulated;
    EXPECT_NE(obstacle(measures, false), nullptr);
    EXPECT_EQ(obstacle(measures, true), nullptr);
    measures.kvm.kind = Kind::kNoRights;
    EXPECT_NE(obstacle(measures, true), nullptr);
}

TEST(EnginePreflight, TellsPrograms) {
    const auto json = verdict_json({Kind::kNoModule, "it is not loaded", "load it", "modprobe x"});
    EXPECT_EQ(json["kind"], "no-module");
    EXPECT_EQ(json["usable"], false);
    EXPECT_EQ(json["command"], "modprobe x");
}

TEST(EnginePreflight, AutoBecomesAnEngine) {
    MachineConfig config;
    EngineMeasures measures;
    measures.kvm = {Kind::kEmulated, "slow", "", ""};
    measures.translator_speed = 1e9;
    EXPECT_NE(choose_accelerator(config, measures).line, "");
    EXPECT_EQ(config.accelerator, MachineConfig::Accelerator::kTranslator);
    measures.translator_speed.reset();
    choose_accelerator(config, measures);
    EXPECT_EQ(config.accelerator, MachineConfig::Accelerator::kInterpreter);
}

}  // namespace
}  // namespace mynah
