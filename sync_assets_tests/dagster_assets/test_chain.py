from sync_assets_tests.dagster_assets.world import *


def test_x(world):
    import time
    world.write("1", 0, "one", "two")
    t=time.time()
    r = world.run(partition(0)); print(time.time()-t); t=time.time()
    world.write("2", 1, "one", "two", tenant="polder")
    r = world.run(partition(0), partition(2, "polder")); print(time.time()-t)
    print(materializations(r)); print(data_versions(r)); print(checks(r)); print(reasons(r))
    world.assert_converged()
    assert 0
